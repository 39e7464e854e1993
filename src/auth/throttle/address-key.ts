import { isIP } from 'node:net';

/**
 * What counts as one client address: an IPv4 address, also when mapped into IPv6 (RFC 4291
 * §2.5.5.2), or the /64 of an IPv6 address, which is what one subscriber holds.
 */
export function addressKey(address: string): string {
  if (isIP(address) !== 6) return address;
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  return mapped ?? `${network(address)}::/64`;
}

function network(address: string): string {
  const [head = '', tail = ''] = address.replace(/%.*$/, '').split('::', 2);
  const first = groups(head);
  const last = groups(tail);
  const zeros = Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0);
  return [...first, ...zeros, ...last]
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':');
}

/** The 16-bit groups of a part; an IPv4 address at its end is two, and never within the first four. */
function groups(part: string): number[] {
  if (part === '') return [];
  return part
    .split(':')
    .flatMap((group) => (group.includes('.') ? [0, 0] : [Number.parseInt(group, 16)]));
}
