import { BlockList, isIP } from 'node:net';

/** Finds the address of the client, in text: the peer's, or the one that trusted proxies vouch for. */
export type FindClientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
) => string;

/**
 * Creates the finder. `trustedProxies` are addresses and CIDR networks; `X-Forwarded-For` counts only
 * as far as each hop, from the right, is one of them.
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
    const hop = unmapped(forwardedFor.slice(comma + 1, end).trim());
    if (isIP(hop) === 0) return address;
    address = hop;
    end = comma;
  }
  return address;
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
