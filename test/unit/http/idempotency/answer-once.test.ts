import { describe, expect, test } from 'vitest';
import {
  deriveStanzaId,
  parseIdempotencyKey,
} from '../../../../src/http/idempotency/answer-once.ts';

describe('an Idempotency-Key', () => {
  test.each([
    ['abc', 'abc'],
    ['"abc"', 'abc'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['x'.repeat(255), 'x'.repeat(255)],
    [`"${'x'.repeat(255)}"`, 'x'.repeat(255)],
  ])('%j is %j', (header, key) => {
    expect(parseIdempotencyKey(header)).toBe(key);
  });

  test('may be missing', () => {
    expect(parseIdempotencyKey(undefined)).toBeUndefined();
  });

  test.each(['', '""', ' ', 'a b', '"a b"', 'a, b', 'é', '"é"', 'a\tb', '\u007f', 'x'.repeat(256)])(
    '%j is refused',
    (header) => {
      expect(() => parseIdempotencyKey(header)).toThrow(
        expect.objectContaining({ code: 'invalid-message' }),
      );
    },
  );
});

test('the id of a stanza depends on caller and key, and on nothing else', () => {
  const id = deriveStanzaId({ caller: 'a', key: 'b' });
  expect(id).toMatch(/^[\w-]{43}$/);
  expect(deriveStanzaId({ caller: 'a', key: 'b' })).toBe(id);
  expect(deriveStanzaId({ caller: 'a', key: 'c' })).not.toBe(id);
  expect(deriveStanzaId({ caller: 'ab', key: '' })).not.toBe(
    deriveStanzaId({ caller: 'a', key: 'b' }),
  );
});
