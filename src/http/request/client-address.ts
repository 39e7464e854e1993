import { BlockList, isIP } from 'node:net';
import { quote } from '../../core/text.ts';

/** Finds the address of the client, in text: the peer's, or the one that trusted proxies vouch for. */
export type FindClientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
) => string;

/**
 * Creates the finder. `trustedProxies` are addresses and CIDR networks; `X-Forwarded-For` counts only
 * as far as each hop, from the right, is one of them. What a trusted proxy says and is no address
 * stands for the client as it is, quoted: were it the proxy's own address, one such client could use
 * up the logins of all.
 */
export function createFindClientAddress(trustedProxies: readonly string[]): FindClientAddress {
  if (trustedProxies.length === 0) return (peer) => unmapped(peer ?? '');
  const isTrusted = createIsTrusted(trustedProxies);
  return (peer, forwardedFor) => {
    const address = unmapped(peer ?? '');
    return forwardedFor === undefined ? address : walk(address, forwardedFor, isTrusted);
  };
}

function walk(peer: string, forwardedFor: string, isTrusted: (address: string) => boolean): string {
  let address = peer;
  for (let end = forwardedFor.length; end >= 0 && isTrusted(address); ) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1);
    const text = forwardedFor.slice(comma + 1, end).trim();
    // Nothing is said of the client, as without the header.
    if (text === '') return address;
    const hop = readHop(text);
    if (hop === undefined) return `${quote(text)} via ${address}`;
    address = hop;
    end = comma;
  }
  return address;
}

/**
 * The IP address of a hop: alone, with a port, in brackets (RFC 3986 §3.2.2) or in quotes (as RFC 7239
 * §6 wants it); undefined for all else, such as `unknown` and the made-up names of RFC 7239 §6.3.
 */
function readHop(text: string): string | undefined {
  const node = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const [, bracketed, alone] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(node) ?? [];
  const address = unmapped(bracketed ?? alone ?? node);
  return isIP(address) === 0 ? undefined : address;
}

function createIsTrusted(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    if (prefix === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (address) => isIP(address) !== 0 && list.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}

/** An IPv4 client of a dual-stack socket shows as `::ffff:192.0.2.1` (RFC 4291 §2.5.5.2). */
function unmapped(address: string): string {
  const rest = address.startsWith('::ffff:') ? address.slice(7) : '';
  return isIP(rest) === 4 ? rest : address;
}
