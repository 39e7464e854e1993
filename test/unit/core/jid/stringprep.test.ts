import { assert, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  normalizeResource,
  prepareIdentifier,
  StringprepError,
} from '../../../../src/core/jid/stringprep.ts';
import { leftToRight, rightToLeft, unassigned } from '../../../../src/core/jid/unicode-3-2.ts';
import { nameCharacter } from '../../../../src/core/text.ts';

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
    ['soft hyphen', 'jul\xadiet', 'must not contain a soft hyphen, which servers drop'],
    ['zero-width space', 'jul\u200biet', 'must not contain a zero-width space, which servers drop'],
    [
      'zero-width joiner',
      'jul\u200diet',
      'must not contain a zero-width joiner, which servers drop',
    ],
    ['byte order mark', '\ufeffjuliet', 'must not contain a byte order mark, which servers drop'],
    [
      'variation selector',
      'juliet\ufe0f',
      'must not contain an invisible or combining character, which servers drop',
    ],
    [
      'combining grapheme joiner',
      'j\u034f',
      'must not contain an invisible or combining character, which servers drop',
    ],
    ['space', 'jul iet', 'must not contain a space'],
    ['no-break space', 'jul\xa0iet', 'must not contain a no-break space'],
    ['ideographic space', '\u3000', 'must not contain an unusual space'],
    ['line separator', '\u2028', 'must not contain an invisible or combining character'],
    ['spacing acute, which is a space and a mark', '\xb4', 'must not contain "´"'],
    ['NUL', '\0', 'must not contain NUL (a control character)'],
    ['C1 control', '\x85', 'must not contain an invisible or combining character'],
    ['right-to-left override', '\u202e', 'must not contain an invisible or combining character'],
    ['language tag', '\u{e0061}', 'must not contain an invisible or combining character'],
    ['private use', '\ue000', 'must not contain an invisible or combining character'],
    ['replacement character', '\ufffd', 'must not contain "�"'],
    ['ideographic description', '\u2ff0', 'must not contain "⿰"'],
    ['lone high surrogate', 'a\ud800', 'must not contain half of a character'],
    ['lone low surrogate', '\udc00a', 'must not contain half of a character'],
    ['full-width at-sign', 'a＠b', 'must not contain "＠"'],
    ['full-width slash', 'a／b', 'must not contain "／"'],
    ['care-of sign, which holds a slash', '℅', 'must not contain "℅"'],
    [
      'noncharacter',
      '\ufdd0',
      'must not contain an invisible or combining character, which is too new',
    ],
    [
      'noncharacter at the end of a plane',
      '\u{1ffff}',
      'must not contain an invisible or combining character, which is too new',
    ],
    ['capital sharp s', '\u1e9e', 'must not contain "ẞ", which is too new'],
    ['Cherokee small letter', '\uab70', 'must not contain "ꭰ", which is too new'],
    ['emoji', '😀', 'must not contain "😀", which is too new'],
    ['corrected ideograph', '\u{2f868}', 'must not contain "㛼", which servers read differently'],
    ['square C over kg', '㏆', 'must not contain "㏆", which servers read differently'],
    ['both directions', 'אaב', 'must not contain "a", which runs left to right'],
    [
      'Braille, left to right since Unicode 4',
      'א\u2800ב',
      'must not contain "⠀", which runs left to right',
    ],
    ['right-to-left after a digit', '1א', 'must begin and end with letters that run right to left'],
    [
      'right-to-left before a digit',
      'א1',
      'must begin and end with letters that run right to left',
    ],
  ])('refuses %s', (_, text, reason) => {
    expect(() => prepareIdentifier(text)).toThrow(StringprepError);
    expect(() => prepareIdentifier(text)).toThrow(reason);
  });

  test.each(Array.from('"&\'/:<>@'))('refuses %s', (character) => {
    expect(() => prepareIdentifier(`a${character}b`)).toThrow(
      `must not contain ${nameCharacter(character)}`,
    );
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
