import { expect, test } from 'vitest';
import {
  createNamespaceScope,
  findIllegalCharacter,
  isFifthEditionNcName,
  isNcName,
} from '../../../../src/core/xml/names.ts';

test.each(['a', '_', 'A-1._', 'é', 'Ω', '中', 'a\u0300', 'a·', '__proto__', 'Ж'])(
  '%j is a name',
  (name) => {
    expect(isNcName(name)).toBe(true);
  },
);

test.each(['', '1', '-a', '.a', 'a:b', ':', 'a b', 'a\n', 'a"', 'a>', '\u0300a', 'a\ud800'])(
  '%j is no name in any edition',
  (name) => {
    expect(isNcName(name)).toBe(false);
    expect(isFifthEditionNcName(name)).toBe(false);
  },
);

// Servers parse with expat, which closes the stream on these.
test.each([0x132, 0x221, 0x370, 0x200c, 0x2c00, 0x10000, 0x1f600])(
  'U+%i is a name in the 5th edition only',
  (codePoint) => {
    const name = String.fromCodePoint(codePoint);
    expect(isNcName(name)).toBe(false);
    expect(isFifthEditionNcName(name)).toBe(true);
  },
);

test.each(['', 'a\t\n\r', '\ud7ff\ue000\ufffd', '\u{10000}\u{10ffff}', '\u0085\u2028\ufeff\u007f'])(
  '%j is legal',
  (text) => {
    expect(findIllegalCharacter(text)).toBeUndefined();
  },
);

test.each([
  ['\u0000', 0, 'NUL (a control character)'],
  ['ab\u001f', 2, 'US (a control character)'],
  ['a\u000b', 1, 'VT (a control character)'],
  ['😀\ufffe', 2, 'that is a noncharacter'],
  ['\uffff', 0, 'that is a noncharacter'],
  ['\ud800', 0, 'cut in half (half of an emoji, say)'],
  ['a\udc00', 1, 'cut in half (half of an emoji, say)'],
  ['\ud83d\ud83d\ude00', 0, 'cut in half (half of an emoji, say)'],
])('%j is not', (text, index, name) => {
  expect(findIllegalCharacter(text)).toEqual({ index, name });
});

test('a declaration holds until its element ends', () => {
  const scope = createNamespaceScope(new Map<string, string>([['', 'outer']]));
  scope.enter();
  scope.declare('p', 'one');
  scope.declare('', 'inner');
  scope.enter();
  scope.declare('p', 'two');
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['inner', 'two']);
  scope.leave();
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['inner', 'one']);
  scope.leave();
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['outer', undefined]);
});

test('the end of an element restores the binding before both of its declarations', () => {
  const scope = createNamespaceScope(new Map<string, string>([['', 'outer']]));
  scope.enter();
  scope.declare('', 'one');
  scope.declare('', 'two');
  scope.leave();
  expect(scope.resolve('')).toBe('outer');
});

test('names of Object.prototype are ordinary prefixes', () => {
  const scope = createNamespaceScope(new Map<string, string>([]));
  expect(scope.resolve('__proto__')).toBeUndefined();
  expect(scope.resolve('constructor')).toBeUndefined();
});
