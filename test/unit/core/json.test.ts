import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from '../../../src/core/json.ts';
import { refusalOf } from './refusal.ts';

test.each([
  '{}',
  '[]',
  '"a\\"b"',
  'null',
  '-0',
  ' {"a" : {"a": 1}, "b": [{"a": 1}, {"a": 1}]} ',
  '{"a":"\\"b\\":","b":"{\\"a\\":1,"}',
  '{"a\\\\":1,"a":2}',
  '{"":1,"__proto__":{"toString":1},"constructor":2}',
])('reads %s', (text) => {
  expect(parseJson(text)).toEqual(JSON.parse(text));
});

test('reads any JSON value as the engine does', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('ignores one byte order mark', () => {
  expect(parseJson('\ufeff{"a":1}')).toEqual({ a: 1 });
  expect(refusalOf(() => parseJson('\ufeff\ufeff{}')).code).toBe('malformed-body');
});

test.each([
  ['', 'it ends too early'],
  ['{"to": "x"', 'line 1, column 11'],
  ['{"to": "x",\n "y" 5}', 'line 2, column 6'],
  ['{"to": "a\tb"}', 'line 1, column 10'],
  ["{'to': 1}", 'line 1, column 2'],
  ['{} {}', 'line 1, column 4'],
  ['{"a": 01}', 'line 1, column 8'],
])('refuses %j and says where', (text, place) => {
  const { code, detail } = refusalOf(() => parseJson(text));
  expect(code).toBe('malformed-body');
  expect(detail).toContain(`The body is not JSON: `);
  expect(detail).toContain(place);
});

test.each(['{"secret": hidden}', 'secret in JSON at position 5', '{"a": NaN}', '[1,]'])(
  'refuses %j without repeating it',
  (text) => {
    const { code, detail } = refusalOf(() => parseJson(text));
    expect(code).toBe('malformed-body');
    expect(detail).toMatch(/^The body is not JSON(: the fault is at line 1, column \d)?\.$/);
  },
);

test.each([
  ['{"a":1,"a":1}', ['/a']],
  ['{"a":1,"\\u0061":2}', ['/a']],
  ['{"x":[0,{"b":{"c":1,"d":[],"c":2}}]}', ['/x/1/b/c']],
  ['{"a/b~":1,"a/b~":2}', ['/a~1b~0']],
  ['{"":1,"":2}', ['/']],
  ['[[],{"a":1,"a":2}]', ['/1/a']],
  ['{"__proto__":1,"__proto__":2}', ['/__proto__']],
  ['{"a":1,"a":2,"b":{"c":1,"c":2},"b":3}', ['/a', '/b/c', '/b']],
  ['{"a":"x,\\"a\\":","b":1,"b":2}', ['/b']],
  ['{"a\\\\":1,"a\\\\":2}', ['/a\\']],
])('finds equal names in %s', (text, pointers) => {
  expect(refusalOf(() => parseJson(text))).toMatchObject({ code: 'invalid-message', pointers });
});

test('100,000 levels are read without recursion', () => {
  const levels = 100_000;
  expect(Array.isArray(parseJson('['.repeat(levels) + ']'.repeat(levels)))).toBe(true);
  const text = `${'{"a":'.repeat(levels)}{"b":1,"b":2}${'}'.repeat(levels)}`;
  const refusal = refusalOf(() => parseJson(text));
  expect(refusal.code).toBe('invalid-message');
  expect(refusal.pointers[0]?.startsWith('/a/a/a/')).toBe(true);
});

// In quadratic time, these would take hours, and the test would time out.
test('hostile bodies come to an end', () => {
  const bodies = ['\\\\'.repeat(400_000), '\\"'.repeat(400_000), '\\u005c'.repeat(100_000)];
  for (const body of bodies) parseJson(`{"${body}":"${body}"}`);
  parseJson(`{${Array.from({ length: 100_000 }, (_, index) => `"${index}":0`).join()}}`);
  const names = '"b":0,'.repeat(20_000);
  const deep = `${'['.repeat(20_000)}{${names}"b":0}${']'.repeat(20_000)}`;
  expect(refusalOf(() => parseJson(deep)).detail).toMatch(/^20000 faults; /);
});
