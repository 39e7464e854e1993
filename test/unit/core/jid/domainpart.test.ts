import { describe, expect, test } from 'vitest';
import { parseDomain } from '../../../../src/core/jid/domainpart.ts';
import { JidError } from '../../../../src/core/jid/jid.ts';

describe('parseDomain', () => {
  test.each([
    ['example.org', 'example.org'],
    ['EXAMPLE.org.', 'example.org'],
    ['localhost', 'localhost'],
    ['3com.example', '3com.example'],
    ['a1.b-2', 'a1.b-2'],
    ['r3---sn.example', 'r3---sn.example'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
    [`${'a.'.repeat(511)}a`, `${'a.'.repeat(511)}a`],
    [`${'ü'.repeat(57)}.example`, `${'ü'.repeat(57)}.example`],
    // Both forms of IDNA are one domain.
    ['bücher.example', 'bücher.example'],
    ['BÜCHER.example', 'bücher.example'],
    ['bu\u0308cher.example', 'bücher.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['XN--BCHER-KVA.example', 'bücher.example'],
    ['ｘn--bcher-kva.example', 'bücher.example'],
    ['faß.example', 'fass.example'],
    ['例え.テスト', '例え.テスト'],
    ['xn--r8jz45g.xn--zckzah', '例え.テスト'],
    ['שלום.דוגמה', 'שלום.דוגמה'],
    // Full stops of IDNA.
    ['例え。テスト', '例え.テスト'],
    ['example．org｡', 'example.org'],
    // IP literals in their own form.
    ['127.0.0.1', '127.0.0.1'],
    ['１２７.0.0.1', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[2001:DB8::1]', '[2001:db8::1]'],
  ])('%j', (text, expected) => {
    expect(parseDomain(text)).toBe(expected);
    expect(parseDomain(expected)).toBe(expected);
  });

  test.each([
    ['nothing', ''],
    ['a dot', '.'],
    ['two dots at the end', 'example.org..'],
    ['an empty label', 'a..b'],
    ['an empty first label', '.example.org'],
    ['a two-dot leader', 'a‥b'],
    ['a space', 'exa mple'],
    ['an underscore', 'a_b.example'],
    ['a hyphen first', '-a.example'],
    ['a hyphen last', 'a-.example'],
    ['a hyphen last in a U-label', 'ü-.example'],
    ['a port', 'example.org:5222'],
    ['percent-encoding', 'ex%61mple.org'],
    ['a user', 'juliet@example.org'],
    ['a resource', 'example.org/x'],
    ['a query', 'example.org?x'],
    ['a fragment', 'example.org#x'],
    ['a backslash', 'example.org\\x'],
    ['a tab', 'exam\tple.org'],
    ['a zero-width space', 'exam\u200bple.org'],
    ['a soft hyphen', 'exam\xadple.org'],
    ['a lone surrogate', 'example\ud800.org'],
    ['an emoji, younger than Unicode 3.2', '😀.example'],
    ['a combining mark first', '\u0301a.example'],
    ['a label of 64 bytes', `${'a'.repeat(64)}.example`],
    ['a label of 64 bytes in its A-form', `${'ü'.repeat(58)}.example`],
    ['1024 bytes', `${'a.'.repeat(511)}ab`],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['a megabyte of dots', '.'.repeat(1_000_000)],
    ['no Punycode', 'xn--garbage'],
    ['nothing after xn--', 'xn--'],
    ['Punycode of ASCII', 'xn--example-'],
    ['Punycode of another IDNA, which nameprep maps away', 'xn--fa-hia.example'],
    ['Punycode of a capital', 'xn--bcher-2pa.example'],
    ['Punycode of a ligature', 'xn--x-sy8h.example'],
    ['xn-- before a U-label', 'xn--bücher'],
    ['an A-label younger than Unicode 3.2', 'xn--80ak6aa92e.com'],
    ['both directions', 'שלום.example'],
    ['both directions in A-labels', 'xn--4dbcd.org'],
    ['a short IPv4 address', '127.1'],
    ['a hexadecimal IPv4 address', '0x7f.1'],
    ['a hexadecimal IPv4 address alone', '0x7f000001'],
    ['a decimal IPv4 address', '2130706433'],
    ['an octal IPv4 address', '0177.0.0.1'],
    ['an IPv4 address out of range', '256.0.0.1'],
    ['five numbers', '1.2.3.4.5'],
    ['a long IPv6 address', '[0:0:0:0:0:0:0:1]'],
    ['an IPv6 address with IPv4 in it', '[::ffff:127.0.0.1]'],
    ['an IPv6 address without brackets', '::1'],
    ['an IPv6 address with a zone', '[fe80::1%eth0]'],
    ['an IPv6 address with a port', '[::1]:5222'],
    ['no IPv6 address', '[:::]'],
    ['an IPv4 address in brackets', '[127.0.0.1]'],
  ])('refuses %s', (_, text) => {
    expect(() => parseDomain(text)).toThrow(JidError);
  });

  test('says what was expected and what it got', () => {
    expect(() => parseDomain('127.1')).toThrow(
      new JidError(
        'Expected a domainpart that is a host name or an address such as 192.0.2.1, got "127.1".',
      ),
    );
  });
});
