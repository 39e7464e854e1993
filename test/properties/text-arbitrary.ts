import * as fc from 'fast-check';

const longText = 'l'.repeat(5000);

/** Characters and sequences that parsers, serialisers and servers treat differently. */
const carried = [
  ...Array.from('ab1 :/@<>&"\'=#;'),
  '\t',
  '\n',
  '\r',
  '\r\n',
  ']]>',
  '<![CDATA[',
  '&amp;',
  '&#13;',
  '&lt',
  '{',
  '}',
  '\\u0000',
  'é',
  'e\u0301',
  'ß',
  'İ',
  'ﬃ',
  '\u00a0',
  '\u00ad',
  '\u0085',
  '\u2028',
  '\u200b',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\ufdd0',
  '😀',
  '👩‍👩‍👧',
  '\u{1fffe}',
  '\u{10ffff}',
  'אב',
  longText,
];

/** Characters that XML cannot carry. */
const illegal = ['\u0000', '\u0008', '\u001f', '\ufffe', '\uffff', '\ud800', '\udc00', '\ud83d'];

/** Text that XML can carry. */
export const carriedText = fc
  .array(fc.constantFrom(...carried), { maxLength: 6, size: 'max' })
  .map((all) => all.join(''));

/** Text of all kinds, most of which XML can carry. */
export const anyText = fc.oneof(
  { weight: 12, arbitrary: carriedText },
  { weight: 2, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme' }) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.constantFrom(...carried, ...illegal), { maxLength: 6 })
      .map((all) => all.join('')),
  },
);

/** Names in both editions of XML. */
export const goodNames = ['x', 'body', 'subject', 'message', 'a-1._', '_', 'é', 'ア', 'lang', 'id'];
/** Names of XML 1.0 5th edition only, and strings that are not names. */
export const badNames = [
  '\u0370',
  '\u2c00',
  'a\u200c',
  '😀',
  '\u0132',
  '\u0221',
  '\u{10000}',
  '',
  '1a',
  '-',
  'a b',
  'a=',
  "x='1'/><y",
  'a:b',
  ':a',
  'a:',
  'p:q:r',
  'xmlns:p',
  'é<',
  '\u00d7',
];

const someAddresses = [
  'bob@example.org',
  'bob@example.org/r',
  'example.org',
  'BOB@Example.Org',
  'b\u00fccher.example',
  'Stra\u00dfe@example.org',
  'bob@xn--bcher-kva.example',
  '[::1]',
  '192.0.2.1',
  'bob@example.org.',
  'bob@example.org/😀 \u00a0&<"\'>',
  'bob@example.org/a@b/c',
  '\uff21lice@example.org',
  '\u05d0\u05d1@example.org',
  'a&b@example.org',
  'x@gateway.example.org',
  '@',
  'a@b@c',
  '',
];

/** Addresses, most of them well-formed. */
export const anyAddress = fc.oneof(
  { weight: 16, arbitrary: fc.constant('bob@example.org') },
  { weight: 6, arbitrary: fc.constantFrom(...someAddresses) },
  { weight: 2, arbitrary: anyText.map((text) => `bob@example.org/${text}`) },
  { weight: 1, arbitrary: anyText.map((text) => `${text}@example.org`) },
  { weight: 1, arbitrary: anyText },
);

/** Texts with pieces inserted, removed, doubled or replaced; most changes are harmless. */
export function mutated(
  texts: fc.Arbitrary<string>,
  harmless: readonly string[],
  pieces: readonly string[],
): fc.Arbitrary<string> {
  const place = fc.nat({ max: 9999 });
  const change = fc.record({
    kind: fc.constantFrom('insert', 'insert', 'insert', 'remove', 'double', 'replace'),
    place,
    length: fc.integer({ min: 1, max: 4 }),
    piece: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...harmless) },
      { weight: 1, arbitrary: fc.constantFrom(...pieces) },
    ),
  });
  return fc.tuple(texts, fc.array(change, { minLength: 1, maxLength: 2 })).map(([text, changes]) =>
    changes.reduce((before, { kind, place: share, length, piece }) => {
      const start = Math.floor((share / 10_000) * before.length);
      const end = kind === 'insert' ? start : start + length;
      const put = {
        insert: piece,
        remove: '',
        double: before.slice(start, end).repeat(2),
        replace: piece,
      };
      return before.slice(0, start) + put[kind] + before.slice(end);
    }, text),
  );
}
