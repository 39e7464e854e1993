import { assert, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  normalizeResource,
  prepareIdentifier,
  StringprepError,
} from '../../../../src/core/jid/stringprep.ts';
import { leftToRight, rightToLeft, unassigned } from '../../../../src/core/jid/unicode-3-2.ts';

describe('prepareIdentifier', () => {
  test.each([
    ['upper case', 'JULIET', 'juliet'],
    ['full-width letters', 'ＪＵＬＩＥＴ', 'juliet'],
    ['ligature', 'ﬁn', 'fin'],
    ['sharp s', 'straße', 'strasse'],
    ['final sigma', 'ΟΔΟΣ', 'οδοσ'],
    ['final sigma, small', 'οδος', 'οδοσ'],
    ['Turkish dotted capital I', 'İ', 'i\u0307'],
    ['Turkish dotless i', 'ı', 'ı'],
    ['capital I', 'I', 'i'],
    ['long s', 'ſ', 's'],
    ['Kelvin sign', '\u212a', 'k'],
    ['iota subscript', 'ᾳ', 'αι'],
    ['titlecase digraph', 'ǅ', 'dž'],
    ['n preceded by apostrophe', 'ŉ', 'ʼn'],
    ['compatibility form with capitals in it', '㎐', 'hz'],
    ['Roman numeral', 'Ⅸ', 'ix'],
    ['decomposed letter', 'e\u0301', 'é'],
    ['marks in another order', 'a\u0301\u0323', 'ạ\u0301'],
    ['Hangul jamo', '\u1112\u1161\u11ab', '한'],
    ['Hangul compatibility jamo', 'ㄱㅏ', '가'],
    ['half-width katakana with voicing', 'ｶﾞ', 'ガ'],
    ['combining mark at the start', '\u0301a', '\u0301a'],
    ['palochka, whose small letter came later', 'Ӏ', 'Ӏ'],
    ['Georgian capital, whose small letter came later', 'Ⴀ', 'Ⴀ'],
    ['Deseret capital', '\u{10400}', '\u{10428}'],
    ['right-to-left', 'שלום', 'שלום'],
    ['right-to-left with digits inside', 'ש1ם', 'ש1ם'],
  ])('%s', (_, text, expected) => {
    expect(prepareIdentifier(text)).toBe(expected);
    expect(prepareIdentifier(expected)).toBe(expected);
  });

  test.each([
    ['soft hyphen', 'jul\xadiet', 'U+00AD, which servers drop'],
    ['zero-width space', 'jul\u200biet', 'U+200B, which servers drop'],
    ['zero-width joiner', 'jul\u200diet', 'U+200D, which servers drop'],
    ['byte order mark', '\ufeffjuliet', 'U+FEFF, which servers drop'],
    ['variation selector', 'juliet\ufe0f', 'U+FE0F, which servers drop'],
    ['combining grapheme joiner', 'j\u034f', 'U+034F, which servers drop'],
    ['space', 'jul iet', 'U+0020, which is prohibited'],
    ['no-break space', 'jul\xa0iet', 'U+00A0, which is prohibited'],
    ['ideographic space', '\u3000', 'U+3000, which is prohibited'],
    ['line separator', '\u2028', 'U+2028, which is prohibited'],
    ['spacing acute, which is a space and a mark', '\xb4', 'U+0020, which is prohibited'],
    ['NUL', '\0', 'U+0000, which is prohibited'],
    ['C1 control', '\x85', 'U+0085, which is prohibited'],
    ['right-to-left override', '\u202e', 'U+202E, which is prohibited'],
    ['language tag', '\u{e0061}', 'U+E0061, which is prohibited'],
    ['private use', '\ue000', 'U+E000, which is prohibited'],
    ['replacement character', '\ufffd', 'U+FFFD, which is prohibited'],
    ['ideographic description', '\u2ff0', 'U+2FF0, which is prohibited'],
    ['lone high surrogate', 'a\ud800', 'U+D800, which is prohibited'],
    ['lone low surrogate', '\udc00a', 'U+DC00, which is prohibited'],
    ['full-width at-sign', 'a＠b', 'U+0040, which is prohibited'],
    ['full-width slash', 'a／b', 'U+002F, which is prohibited'],
    ['care-of sign, which holds a slash', '℅', 'U+002F, which is prohibited'],
    ['noncharacter', '\ufdd0', 'U+FDD0, which is not a character of Unicode 3.2'],
    ['noncharacter at the end of a plane', '\u{1ffff}', 'U+1FFFF, which is not a character'],
    ['capital sharp s', '\u1e9e', 'U+1E9E, which is not a character of Unicode 3.2'],
    ['Cherokee small letter', '\uab70', 'U+AB70, which is not a character of Unicode 3.2'],
    ['emoji', '😀', 'U+1F600, which is not a character of Unicode 3.2'],
    ['corrected ideograph', '\u{2f868}', 'U+2F868, which servers normalise differently'],
    ['square C over kg', '㏆', 'U+33C6, which servers normalise differently'],
    ['both directions', 'אaב', 'U+0061, which runs left to right'],
    ['Braille, left to right since Unicode 4', 'א\u2800ב', 'U+2800, which runs left to right'],
    ['right-to-left after a digit', '1א', 'begins and ends with right-to-left letters'],
    ['right-to-left before a digit', 'א1', 'begins and ends with right-to-left letters'],
  ])('refuses %s', (_, text, reason) => {
    expect(() => prepareIdentifier(text)).toThrow(StringprepError);
    expect(() => prepareIdentifier(text)).toThrow(reason);
  });

  test.each(Array.from('"&\'/:<>@'))('refuses %s', (character) => {
    expect(() => prepareIdentifier(`a${character}b`)).toThrow('which is prohibited');
  });

  test('leaves prepared text unchanged', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        const prepared = prepareOrSkip(text);
        return prepared === undefined || prepareIdentifier(prepared) === prepared;
      }),
      { numRuns: 2000 },
    );
  });
});

function prepareOrSkip(text: string): string | undefined {
  try {
    return prepareIdentifier(text);
  } catch (error) {
    if (error instanceof StringprepError) return undefined;
    throw error;
  }
}

test.each([
  ['ＲＥＳ', 'RES'],
  ['a\u200b\xadb', 'ab'],
  ['e\u0301', 'é'],
  ['Home ☎\ufe0f 😀', 'Home ☎ 😀'],
  ['\u200b', ''],
])('normalizeResource(%j)', (text, expected) => {
  expect(normalizeResource(text)).toBe(expected);
});

// Counted in the tables of RFC 3454: A.1 with C.4, D.1 and D.2.
test.each([
  ['unassigned', unassigned, 879_375, '\u0221', '\u{10ffff}'],
  ['rightToLeft', rightToLeft, 1044, '\u05be', '\ufefc'],
  ['leftToRight', leftToRight, 229_973, 'A', '\u{10fffd}'],
])('the table %s', (_, table, size, first, last) => {
  const members = [];
  for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
    const character = String.fromCodePoint(codePoint);
    if (table.test(character)) members.push(character);
  }
  expect([members.length, members[0], members.at(-1)]).toEqual([size, first, last]);
});
