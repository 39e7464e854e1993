import { expect, test } from 'vitest';
import {
  abbreviate,
  decodeUtf8,
  describeError,
  describePlace,
  describeWithCause,
  nameCharacter,
  quote,
  reasonOfOpenSsl,
} from '../../../src/core/text.ts';
import { refusalOf } from './refusal.ts';

test.each([
  ['a"b', '"a\\"b"'],
  ['\u0000', '"\\u0000"'],
  ['\ud800', '"\\ud800"'],
  ['x'.repeat(60), `"${'x'.repeat(60)}"`],
  ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
])('quote(%j)', (text, expected) => {
  expect(quote(text)).toBe(expected);
});

test.each([
  ['@', '"@"'],
  ['é', '"é"'],
  ['😀', '"😀"'],
  ['"', "'\"'"],
  [' ', 'a space'],
  ['\n', 'a line break'],
  ['\u001b', 'ESC (a control character)'],
  ['\u200b', 'a zero-width space'],
  ['\u3000', 'an unusual space'],
  ['\u202e', 'an invisible or combining character'],
  ['\ufe0f', 'an invisible or combining character'],
  ['\ud800', 'half of a character'],
])('nameCharacter(%j)', (character, expected) => {
  expect(nameCharacter(character)).toBe(expected);
});

test.each([
  ['', 0, 'line 1, column 1'],
  ['abc', 2, 'line 1, column 3'],
  ['a\nb\r\nc\rde', 8, 'line 4, column 2'],
  ['\ufeff😀x', 3, 'line 1, column 2'],
])('describePlace(%j, %i)', (text, index, expected) => {
  expect(describePlace(text, index)).toBe(expected);
});

test('abbreviate leaves short texts unchanged', () => {
  expect(abbreviate('abc', 3)).toBe('abc');
  expect(abbreviate('abcd', 3)).toBe('abc…');
});

test.each([
  [new Error('connect ECONNREFUSED'), 'connect ECONNREFUSED'],
  [new AggregateError([new Error('first'), new Error('second')]), 'first'],
  [new AggregateError([new Error('first')], 'both'), 'both'],
  [new TypeError(), 'TypeError'],
  [new AggregateError([]), 'AggregateError'],
  ['thrown text', 'thrown text'],
])('%o in words', (error, words) => {
  expect(describeError(error)).toBe(words);
});

test.each([
  [new Error('It failed.'), 'It failed.'],
  [new Error('It failed.', { cause: new Error('no route') }), 'It failed: no route'],
  [new Error('It failed.', { cause: 'ECONNRESET' }), 'It failed: ECONNRESET'],
  [new Error('It sent no XML.', { cause: new Error('no XML') }), 'It sent no XML.'],
])('%o with its cause', (error, words) => {
  expect(describeWithCause(error)).toBe(words);
});

test.each(['', 'a', 'é€😀', '\ufeff{}', '\u0000'])('decodes %j as it is', (text) => {
  expect(decodeUtf8(new TextEncoder().encode(text))).toBe(text);
});

test.each([
  ['a byte that is none', [0x41, 0xff], 2],
  ['an overlong form', [0x41, 0x41, 0xc0, 0x80], 3],
  ['a surrogate', [0x41, 0xed, 0xa0, 0x80], 3],
  ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], 2],
  ['a continuation alone', [0xc3, 0xa9, 0x80], 3],
  ['cut off at the end', [0x41, 0xe2, 0x82], 4],
])('refuses %s', (_what, bytes, place) => {
  expect(refusalOf(() => decodeUtf8(Uint8Array.from(bytes)))).toEqual({
    code: 'malformed-body',
    detail: `The body is not UTF-8: the fault is at byte ${place}. If it is Latin-1, convert it: iconv -f latin1 -t utf-8.`,
    pointers: [],
  });
});

test.each([
  ['little-endian', [0x7b, 0x00, 0x22, 0x00]],
  ['big-endian', [0x00, 0x7b, 0x00, 0x22]],
  ['little-endian with its mark', [0xff, 0xfe, 0x7b, 0x00]],
  ['big-endian with its mark', [0xfe, 0xff, 0x20, 0xac]],
])('names UTF-16: %s', (_what, bytes) => {
  const refusal = refusalOf(() => decodeUtf8(Uint8Array.from(bytes)));
  expect(refusal).toMatchObject({
    code: 'malformed-body',
    detail: 'The body is UTF-16: send UTF-8.',
  });
});

test('finds the fault in a long body', () => {
  const bytes = new Uint8Array(300_000).fill(0x41);
  bytes[123_456] = 0xff;
  expect(refusalOf(() => decodeUtf8(bytes)).detail).toContain('at byte 123457.');
});

test.each([
  ['error:0A000086:SSL routines::certificate verify failed', 'certificate verify failed'],
  [
    '80AC:error:0A00010B:SSL routines:f:wrong version number:../deps/x.c:350:',
    'wrong version number',
  ],
  ['socket hang up', undefined],
])('reasonOfOpenSsl: %s', (message, reason) => {
  expect(reasonOfOpenSsl(new Error(message))).toBe(reason);
});
