import { BlockList, isIP } from 'node:net';
import { quote } from '../../core/text.ts';

/** Finds the address of the client: that of the peer, or the one that trusted proxies report. */
export type FindClientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
) => string;

/**
 * Creates the function. `trustedProxies` are addresses and CIDR networks; `X-Forwarded-For` is read
 * from the right, for as long as each hop is one of them. If a trusted proxy reports something other
 * than an address, its quoted text takes the place of the address: with the proxy's own address, one
 * such client could use up the login attempts of all the others. `onIgnored` hears of the first peer
 * that sends the header without being one of them.
 */
export function createFindClientAddress(
  trustedProxies: readonly string[],
  onIgnored: (peer: string) => void,
): FindClientAddress {
  const isTrusted = createIsTrusted(trustedProxies);
  let hasIgnored = false;
  return (peer, forwardedFor) => {
    const address = unmapped(peer ?? '');
    if (forwardedFor === undefined) return address;
    if (!hasIgnored && address !== '' && !isTrusted(address)) {
      hasIgnored = true;
      onIgnored(address);
    }
    return walk(address, forwardedFor, isTrusted);
  };
}

function walk(peer: string, forwardedFor: string, isTrusted: (address: string) => boolean): string {
  let address = peer;
  for (let end = forwardedFor.length; end >= 0 && isTrusted(address); ) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1);
    const text = forwardedFor.slice(comma + 1, end).trim();
    // The proxy reports nothing, as if the header were missing.
    if (text === '') return address;
    const hop = readHop(text);
    if (hop === undefined) return `${quote(text)} via ${address}`;
    address = hop;
    end = comma;
  }
  return address;
}

/**
 * Reads the IP address of a hop: alone, with a port, in brackets (RFC 3986 §3.2.2) or in quotes (as in
 * RFC 7239 §6). Anything else is undefined, such as `unknown` and the obfuscated identifiers of
 * RFC 7239 §6.3.
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

/** On a dual-stack socket, an IPv4 client appears as `::ffff:192.0.2.1` (RFC 4291 §2.5.5.2). */
function unmapped(address: string): string {
  const rest = address.startsWith('::ffff:') ? address.slice(7) : '';
  return isIP(rest) === 4 ? rest : address;
}
