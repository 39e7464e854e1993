import { describe, expect, it } from 'vitest';
import { createFindClientAddress } from '../../../../src/http/request/client-address.ts';

describe('createFindClientAddress', () => {
  const trusted = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32', '::1'];

  it.each([
    { case: 'no header', peer: '127.0.0.1', header: undefined, address: '127.0.0.1' },
    { case: 'untrusted peer', peer: '192.0.2.9', header: '203.0.113.1', address: '192.0.2.9' },
    { case: 'one hop', peer: '127.0.0.1', header: '203.0.113.1', address: '203.0.113.1' },
    {
      case: 'spoofed entries on the left',
      peer: '127.0.0.1',
      header: '1.1.1.1, 203.0.113.1',
      address: '203.0.113.1',
    },
    {
      case: 'trusted hops are walked over',
      peer: '127.0.0.1',
      header: '9.9.9.9, 203.0.113.1,10.1.2.3 ,  2001:db8::7',
      address: '203.0.113.1',
    },
    { case: 'all trusted', peer: '127.0.0.1', header: '10.0.0.1, 10.0.0.2', address: '10.0.0.1' },
    {
      case: 'what is no address ends the walk',
      peer: '127.0.0.1',
      header: '203.0.113.1, unknown, 10.0.0.2',
      address: '"unknown" via 10.0.0.2',
    },
    {
      case: 'a long text is cut',
      peer: '127.0.0.1',
      header: `_${'x'.repeat(1000)}`,
      address: `"_${'x'.repeat(59)}…" via 127.0.0.1`,
    },
    { case: 'nothing first', peer: '127.0.0.1', header: '203.0.113.1, ', address: '127.0.0.1' },
    { case: 'empty header', peer: '127.0.0.1', header: '', address: '127.0.0.1' },
    { case: 'a port', peer: '127.0.0.1', header: '203.0.113.1:5678', address: '203.0.113.1' },
    { case: 'quotes', peer: '::1', header: '"203.0.113.1:5678"', address: '203.0.113.1' },
    { case: 'brackets', peer: '::1', header: '[2001:db9::1]', address: '2001:db9::1' },
    { case: 'port and brackets', peer: '::1', header: '[2001:db9::1]:5', address: '2001:db9::1' },
    { case: 'all of it', peer: '::1', header: '"[2001:db9::1]:5678"', address: '2001:db9::1' },
    {
      case: 'ports of proxies',
      peer: '::1',
      header: '203.0.113.1, 10.0.0.2:1',
      address: '203.0.113.1',
    },
    { case: 'a mapped one', peer: '::1', header: '[::ffff:203.0.113.1]:9', address: '203.0.113.1' },
    { case: 'no port', peer: '::1', header: '203.0.113.1:', address: '"203.0.113.1:" via ::1' },
    {
      case: 'no IPv6',
      peer: '::1',
      header: '[203.0.113.1.]:9',
      address: '"[203.0.113.1.]:9" via ::1',
    },
    { case: 'a made-up name', peer: '::1', header: '_gazonk', address: '"_gazonk" via ::1' },
    { case: 'a socket', peer: '::1', header: 'unix:', address: '"unix:" via ::1' },
    { case: 'lone comma', peer: '127.0.0.1', header: ',', address: '127.0.0.1' },
    { case: 'comma first', peer: '127.0.0.1', header: ',10.0.0.1', address: '10.0.0.1' },
    {
      case: 'mapped peer',
      peer: '::ffff:127.0.0.1',
      header: '203.0.113.1',
      address: '203.0.113.1',
    },
    { case: 'mapped client', peer: '::1', header: '::ffff:203.0.113.1', address: '203.0.113.1' },
    { case: 'IPv6 client', peer: '::1', header: '2001:db9::1', address: '2001:db9::1' },
    { case: 'IPv6 zone', peer: 'fe80::1%lo', header: '203.0.113.1', address: 'fe80::1%lo' },
    { case: 'no peer any more', peer: undefined, header: '203.0.113.1', address: '' },
  ])('$case: $peer, $header → $address', ({ peer, header, address }) => {
    expect(createFindClientAddress(trusted, () => {})(peer, header)).toBe(address);
  });

  it('trusts no header without trusted proxies', () => {
    const find = createFindClientAddress([], () => {});
    expect(find('::ffff:127.0.0.1', '203.0.113.1')).toBe('127.0.0.1');
  });

  it('mentions the first peer whose header it ignores, and no other', () => {
    const ignored: string[] = [];
    const find = createFindClientAddress(trusted, (peer) => void ignored.push(peer));
    find(undefined, '203.0.113.1');
    find('127.0.0.1', '203.0.113.1');
    find('192.0.2.9', undefined);
    expect(ignored).toEqual([]);
    find('::ffff:192.0.2.9', '203.0.113.1');
    find('192.0.2.10', '203.0.113.1');
    expect(ignored).toEqual(['192.0.2.9']);
  });
});
