import { describe, expect, test } from 'vitest';
import { parseWait, readWait } from '../../../../src/http/request/prefer.ts';

describe('wait in the header Prefer', () => {
  test.each([
    ['wait=20', 20],
    ['wait=1', 1],
    ['WAIT=20', 20],
    ['wait = 20', 20],
    ['wait="20"', 20],
    ['respond-async, wait=10', 10],
    ['respond-async,wait=10', 10],
    ['wait=10; foo="a,b;c"', 10],
    ['wait=10;', 10],
    ['foo; wait=5, wait=10', 10],
    ['foo="wait=5"', undefined],
    ['foo="a\\", wait=5, b", wait=7', 7],
    [', ,wait=10,', 10],
    ['wait=10, wait=20', 10],
    ['wait=no, wait=20', undefined],
    ['wait=61', 60],
    ['wait=9999999999', 60],
    ['wait=99999999999', undefined],
    ['wait=0', undefined],
    ['wait=-1', undefined],
    ['wait=1.5', undefined],
    ['wait=1e1', undefined],
    ['wait=0x10', undefined],
    ['wait', undefined],
    ['wait=', undefined],
    ['wait=""', undefined],
    ['wait="10', undefined],
    ['wait=10 20', undefined],
    ['wait=10, "', undefined],
    ['(wait=10)', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %j', (header, seconds) => {
    expect(parseWait(header)).toBe(seconds);
  });

  test('takes no longer than its length allows', () => {
    for (const part of [' ', '\t', ',', ';', 'a', '; ', ', ', 'a=', 'a="', '\\', '"']) {
      for (const start of ['', ',', 'a', 'a;', 'a=', 'a="', 'wait=1;']) {
        parseWait(`${start}${part.repeat(16_000)}(`);
      }
    }
  });
});

describe('wait in a line', () => {
  test.each([
    [20, 20],
    [60, 60],
    [0, undefined],
    [undefined, undefined],
  ])('%j is %j', (value, seconds) => {
    expect(readWait(value)).toBe(seconds);
  });

  test.each([
    [61, 'got 61'],
    [-1, 'got -1'],
    [1.5, 'got 1.5'],
    ['20', 'got a string'],
    [null, 'got null'],
    [true, 'got a boolean'],
  ])('%j is refused', (value, got) => {
    expect(() => readWait(value)).toThrow(
      expect.objectContaining({
        code: 'invalid-message',
        options: expect.objectContaining({
          errors: [{ pointer: '/wait', detail: expect.stringContaining(got) }],
        }),
      }),
    );
  });
});
