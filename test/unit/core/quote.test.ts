import { expect, test } from 'vitest';
import { abbreviate, quote } from '../../../src/core/quote.ts';

test.each([
  ['a"b', '"a\\"b"'],
  ['\u0000', '"\\u0000"'],
  ['\ud800', '"\\ud800"'],
  ['x'.repeat(60), `"${'x'.repeat(60)}"`],
  ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
])('quote(%j)', (text, expected) => {
  expect(quote(text)).toBe(expected);
});

test('abbreviate keeps what is short enough', () => {
  expect(abbreviate('abc', 3)).toBe('abc');
  expect(abbreviate('abcd', 3)).toBe('abc…');
});
