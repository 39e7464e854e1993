import { assert, constantFrom, oneof, option, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createJid,
  Jid,
  JidError,
  parseDomain,
  parseJid,
  parseLocalpart,
  WrittenAddress,
} from '../../../../src/core/jid/jid.ts';

describe('parseLocalpart', () => {
  test.each([
    ['juliet', 'juliet'],
    ['JULIET', 'juliet'],
    ['ＪＵＬＩＥＴ', 'juliet'],
    ['Ju\u0308liet', 'jüliet'],
    ['straße', 'strasse'],
    ['!#$%()*+,-.;=?[\\]^_`{|}~09', '!#$%()*+,-.;=?[\\]^_`{|}~09'],
    ['call\\20me', 'call\\20me'],
    ['.', '.'],
    ['a'.repeat(1023), 'a'.repeat(1023)],
    ['é'.repeat(511), 'é'.repeat(511)],
    ['A'.repeat(1023), 'a'.repeat(1023)],
  ])('%j', (text, expected) => {
    expect(parseLocalpart(text)).toBe(expected);
  });

  // What an attacker may put, percent-decoded, in place of the user name in the URL.
  test.each([
    ['%2F', 'juliet/x'],
    ['%40', 'juliet@other.example'],
    ['a whole address', 'juliet@other.example/x'],
    ['%00', 'juliet\0'],
    ['%0A', 'juliet\n'],
    ['space', 'ju liet'],
    ['no-break space', 'juliet\xa0'],
    ['zero-width space', 'juliet\u200b'],
    ['soft hyphen', 'jul\xadiet'],
    ['full-width slash', 'juliet／x'],
    ['full-width at-sign', 'juliet＠other.example'],
    ['markup', "juliet'><x"],
    ['lone surrogate', 'juliet\ud800'],
    ['nothing', ''],
    ['nothing but what is dropped', '\xad'],
    ['1024 bytes', 'a'.repeat(1024)],
    ['1024 bytes of 2-byte letters', 'é'.repeat(512)],
    ['what grows over 1023 bytes', 'ŉ'.repeat(511)],
    ['a megabyte', 'a\u0301'.repeat(350_000)],
  ])('refuses %s', (_, text) => {
    expect(() => parseLocalpart(text)).toThrow(JidError);
  });

  test('says what was expected and what it got', () => {
    expect(() => parseLocalpart('a@b')).toThrow(
      new JidError('The name before the @ must not contain "@", got "a@b".'),
    );
    expect(() => parseLocalpart('')).toThrow(new JidError('The name before the @ is empty.'));
    expect(() => parseLocalpart('a'.repeat(1024))).toThrow(
      new JidError('The name before the @ is too long: at most 1023 bytes, got 1024.'),
    );
  });
});

describe('parseJid', () => {
  test.each([
    ['example.org', undefined, 'example.org', undefined],
    ['juliet@example.org', 'juliet', 'example.org', undefined],
    ['Juliet@EXAMPLE.org./Balcony', 'juliet', 'example.org', 'Balcony'],
    ['example.org/a/b@c', undefined, 'example.org', 'a/b@c'],
    ['juliet@example.org/@', 'juliet', 'example.org', '@'],
    ['juliet@xn--bcher-kva.example', 'juliet', 'bücher.example', undefined],
    ['juliet@[::1]/x', 'juliet', '[::1]', 'x'],
    ['juliet@example.org/ home 😀', 'juliet', 'example.org', ' home 😀'],
    ['juliet@example.org/ＲＥＳ', 'juliet', 'example.org', 'ＲＥＳ'],
    [`a@b/${'r'.repeat(1023)}`, 'a', 'b', 'r'.repeat(1023)],
  ])('%j', (text, local, domain, resource) => {
    const jid = parseJid(text);
    expect([jid.local, jid.domain, jid.resource]).toEqual([local, domain, resource]);
  });

  test.each([
    '',
    '@',
    '/',
    '@example.org',
    'juliet@',
    'juliet@/x',
    'juliet@example.org/',
    'juliet@other.example@example.org',
    'juliet@example.org＠other.example',
    ' juliet@example.org',
    'juliet@example.org ',
    'juliet@example.org/a\u0000',
    'juliet@example.org/a\u0085',
    'juliet@example.org/\ufffe',
    'juliet@example.org/\ud83d',
    `juliet@example.org/${'r'.repeat(1024)}`,
    `juliet@example.org/${'é'.repeat(512)}`,
  ])('refuses %j', (text) => {
    expect(() => parseJid(text)).toThrow(JidError);
  });

  test.each([
    ['bob@example.org,alice@example.org', 'Expected one address, got two.'],
    ['bob@example.org; alice@example.org', 'Expected one address, got two.'],
    ['bob@example.org alice@example.org', 'Expected one address, got two.'],
    ['bob@example.org\nalice@example.org\n', 'Expected one address, got two.'],
    ['["a@example.org", "b@example.org"]', 'Expected one address, got two.'],
    ['Bob <bob@example.org>, Al <al@example.org>, c@example.org', 'Expected one address, got 3.'],
    [' bob@example.org', 'There is a space at the start: leave it out.'],
    ['bob@example.org ', 'There is a space at the end: leave it out.'],
    ['bob@example.org\n', 'There is a line break at the end: leave it out.'],
    ['bob@example.org\u00a0', 'There is a no-break space at the end: leave it out.'],
    ['bob@example.org,', 'There is "," at the end: leave it out.'],
    ['"bob@example.org"', `There is '"' at the end: leave it out.`],
    ['xmpp:bob@example.org', 'Write the address without "xmpp:": bob@example.org.'],
    ['XMPP:bob@example.org?message;body=x', 'Write the address without "XMPP:": bob@example.org.'],
    ['xmpp://bob@example.org', 'Write the address without "xmpp:": bob@example.org.'],
    ['mailto:bob@example.org', 'Write the address without "mailto:": bob@example.org.'],
    ['https://example.org/bob', 'Expected an address such as bob@example.org, got a web address.'],
    [
      'Bob <bob@example.org>',
      'Write only the address, without name and brackets: bob@example.org.',
    ],
    ['<bob@example.org>', 'Write only the address, without name and brackets: bob@example.org.'],
    ['bob%40example.org', 'Write @ for %40: bob@example.org.'],
    ['bob%40example.org/x', 'Write @ for %40: bob@example.org/x.'],
    ['bob@@example.org', 'Expected one @, got more: "bob@@example.org".'],
    ['bob@work@example.org', 'Expected one @, got more: "bob@work@example.org".'],
    ['@bob@example.org', 'There is "@" at the start: leave it out.'],
    ['@example.org', 'There is no name before the @: expected an address such as bob@example.org.'],
    ['bob@', 'There is no domain after the @: expected an address such as bob@example.org.'],
    ['bob@/x', 'There is no domain after the @: expected an address such as bob@example.org.'],
    ['bob@example.org/', 'There is nothing after the slash: leave the slash out.'],
    ['', 'The address is empty.'],
    [' ', 'The address is empty.'],
    ['bob smith@example.org', 'The name before the @ must not contain a space, got "bob smith".'],
    ["o'hara@example.org", `The name before the @ must not contain "'", got "o'hara".`],
    [
      'bob😀@example.org',
      'The name before the @ must not contain "😀", which is too new for XMPP addresses, got "bob😀".',
    ],
    ['bob@exam_ple.org', 'The domain must not contain "_", got "exam_ple.org".'],
    [
      'bob@xn--abc.org',
      'The domain must not have the part "xn--abc", which does not decode to a name in other letters, got "xn--abc.org".',
    ],
    [
      'bob@-example.org',
      'The domain must not have a hyphen at the start or end of a part, got "-example.org".',
    ],
    [
      'bob@example..org',
      'The domain must not begin with a dot, or have two in a row, got "example..org".',
    ],
    [
      `bob@${'a'.repeat(64)}`,
      `The domain must have letters, digits and inner hyphens between its dots, at most 63 of them, got "${'a'.repeat(60)}…".`,
    ],
    [
      'bob@example.org/\u0007',
      'The resource after the slash must not contain BEL (a control character), got "\\u0007".',
    ],
  ])('says what is wrong with %j', (text, message) => {
    expect(messageOf(() => parseJid(text))).toBe(message);
  });

  // In quadratic time, these would exceed the test's deadline.
  test('long addresses are refused at once, in a short message', () => {
    for (const part of ['a@', '@', ' ', ',', '<', '<a@b', 'a@b,', '/', '"', 'xmpp:', '\u200b']) {
      const text = part.repeat(200_000);
      expect(() => parseJid(`${text}\0`)).toThrow(JidError);
      expect(messageOf(() => parseJid(`${text}\0`)).length).toBeLessThan(250);
    }
  });

  test('throws only JidError, and parses its own output', () => {
    const part = oneof(
      string({ unit: 'binary' }),
      string({ unit: 'grapheme' }),
      string({
        unit: constantFrom('a', 'B', 'é', 'ß', '１', '.', '-', '@', '/', 'xn--', '\u200b'),
      }),
    );
    const parts = property(part, option(part), option(part), (domain, local, resource) => {
      const text = `${local === null ? '' : `${local}@`}${domain}${resource === null ? '' : `/${resource}`}`;
      const jid = parseOrUndefined(text);
      if (jid === undefined) return;
      expect(parseJid(jid.toString())).toEqual(jid);
      expect(parseJid(jid.toString()).toString()).toBe(jid.toString());
      expect(new WrittenAddress(text).denotes(jid)).toBe(true);
    });
    assert(parts, { numRuns: 5000 });
  });
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof JidError) return error.message;
    throw error;
  }
  throw new Error('expected a JidError');
}

function parseOrUndefined(text: string): Jid | undefined {
  try {
    return parseJid(text);
  } catch (error) {
    if (error instanceof JidError) return undefined;
    throw error;
  }
}

describe('Jid', () => {
  test('prints the form that goes on the wire', () => {
    expect(String(createJid('Juliet', 'EXAMPLE.org'))).toBe('juliet@example.org');
    expect(parseJid('Example.org/x').toString()).toBe('example.org/x');
  });

  test('bare and withResource', () => {
    const full = createJid('juliet', 'example.org').withResource('balcony');
    expect(full.toString()).toBe('juliet@example.org/balcony');
    expect(full.withResource('garden').toString()).toBe('juliet@example.org/garden');
    expect(full.bare().toString()).toBe('juliet@example.org');
    expect(parseJid('example.org/x').bare().toString()).toBe('example.org');
    expect(() => full.withResource('')).toThrow(JidError);
  });

  test('cannot exist invalid', () => {
    expect(() => new Jid('a@b', 'example.org', undefined)).toThrow(JidError);
    expect(() => createJid('', 'example.org')).toThrow(JidError);
    expect(() => createJid('juliet', 'other.example/x')).toThrow(JidError);
    expect(Object.isFrozen(createJid('juliet', 'example.org'))).toBe(true);
  });
});

describe('WrittenAddress', () => {
  test.each([
    ['juliet@example.org', 'juliet@example.org', true],
    ['juliet@example.org', 'JULIET@Example.ORG.', true],
    ['juliet@bücher.example', 'juliet@xn--bcher-kva.example', true],
    ['example.org', 'example.org', true],
    ['juliet@example.org/ＲＥＳ', 'juliet@example.org/RES', true],
    ['juliet@example.org/RES', 'juliet@example.org/ＲＥＳ', true],
    ['juliet@example.org/a\u200bb', 'juliet@example.org/ab', true],
    ['juliet@example.org/\u200b', 'juliet@example.org/', true],
    ['juliet@example.org/res', 'juliet@example.org/RES', false],
    ['juliet@example.org/x', 'juliet@example.org', false],
    ['juliet@example.org', 'juliet@example.org/x', false],
    ['juliet@example.org', 'juliet@example.org/', false],
    ['juliet@example.org', 'romeo@example.org', false],
    ['juliet@example.org', 'juliet@other.example', false],
    ['juliet@example.org', 'example.org', false],
    ['example.org', 'juliet@example.org', false],
    ['example.org', '@example.org', false],
    ['juliet@example.org', 'jul\xadiet@example.org', false],
    ['juliet@example.org', 'juliet@example.org@other.example', false],
    ['juliet@example.org', '', false],
    ['juliet@example.org', '@/', false],
    ['juliet@example.org', 'juliet@exa mple.org', false],
    ['juliet@example.org', '\ud800@example.org', false],
    ['juliet@example.org/x', `juliet@example.org/${'x'.repeat(1_000_000)}`, false],
    ['juliet@example.org', 'juliet@'.repeat(100_000), false],
  ])('%j, %.60j: %j', (address, text, expected) => {
    expect(new WrittenAddress(text).denotes(parseJid(address))).toBe(expected);
  });

  test('never throws', () => {
    const jid = createJid('juliet', 'example.org');
    assert(property(string({ unit: 'binary' }), (text) => !new WrittenAddress(text).denotes(jid)));
  });
});

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
    // A-labels and U-labels denote the same domain.
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
    // IP literals in canonical form.
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
      new JidError('The domain must be a host name or an address such as 192.0.2.1, got "127.1".'),
    );
  });
});
