import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from '../../../src/core/json.ts';
import { describeJsonFault } from '../../../src/core/json-fault.ts';
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

test.each<[text: string, expected: string]>([
  // Strings.
  ['{"body": "one\ntwo"}', 'line 1, column 14: a line break in a string: write \\n'],
  ['{"body": "one\r\ntwo"}', 'line 1, column 14: a line break in a string: write \\n'],
  ['{"to": "bob,\n "body": 1}', 'line 1, column 13: a line break in a string: write \\n, or the "'],
  ['{"to": "a\tb"}', 'line 1, column 10: a tab in a string: write \\t'],
  ['{"to": "\u001b[1m"}', 'line 1, column 9: ESC (a control character) in a string: leave it out'],
  ['{"to": "it\\\'s"}', "line 1, column 11: \\' in a string: write ' without the backslash"],
  ['{"to": "C:\\data"}', 'line 1, column 11: a backslash before "d": write \\\\ for a backslash'],
  ['{"to": "\\x41"}', 'line 1, column 9: a backslash before "x": write \\\\ for a backslash'],
  [
    '{"to": "\\u12"}',
    'line 1, column 9: \\u in a string, without four hexadecimal digits after it',
  ],
  [
    '{"to": "a\\\nb"}',
    'line 1, column 10: a backslash before a line break: write \\n in place of both',
  ],
  ['{"to": "bob}', 'line 1, column 8: the " that ends this string is missing'],
  ['{"to": "bob\\', 'line 1, column 12: a backslash before the end'],
  ['{"a": "say "hi" now"}', 'line 1, column 13: expected a comma, or the " before this is part of'],
  ["{'to': 1}", `line 1, column 2: a string needs straight double quotes: write " for '`],
  [`{"to": 'bob'}`, `line 1, column 8: a string needs straight double quotes: write " for '`],
  ['{"to": `bob`}', 'line 1, column 8: a string needs straight double quotes: write " for `'],
  ['{“to”: 1}', 'line 1, column 2: a string needs straight double quotes: write " for “'],
  // Commas, colons and brackets.
  ['{"a": 1,}', 'line 1, column 9: there is a comma after the last member: remove it'],
  ['[1,\n]', 'line 2, column 1: there is a comma after the last member: remove it'],
  ['[1,,2]', 'line 1, column 4: expected a value, got ","'],
  ['{"a": 1 "b": 2}', `line 1, column 9: expected a comma or }, got '"'`],
  ['{"a": 1; "b": 2}', 'line 1, column 8: expected a comma or }, got ";"'],
  ['{"to": "x",\n "y" 5}', 'line 2, column 6: expected a colon between name and value'],
  ['{"to" = "x"}', 'line 1, column 7: expected a colon between name and value'],
  ['{"a": }', 'line 1, column 7: expected a value, got "}"'],
  ['{"a": [1}', 'line 1, column 9: expected ], which closes the [ at line 1, column 7'],
  ['{"to": "x"', 'it ends too early: the { at line 1, column 1 is not closed: a } is missing'],
  ['[1, ', 'it ends too early: the [ at line 1, column 1 is not closed: a ] is missing'],
  ['{} {}', 'line 1, column 4: the JSON has ended before this'],
  ['{"a": 1}}', 'line 1, column 9: the JSON has ended before this'],
  // Names and other words.
  ['{to: 1}', 'line 1, column 2: a name needs double quotes: write "name":'],
  ['{{}: 1}', 'line 1, column 2: expected a name in double quotes, got "{"'],
  ['{"a": bob}', 'line 1, column 7: a string needs double quotes: write "text"'],
  ['bob', 'line 1, column 1: expected {, which begins a JSON object; text as it is goes as'],
  ['Disk 93 % full', 'line 1, column 1: expected {, which begins a JSON object; text as it is'],
  ['[bob]', 'line 1, column 2: a string needs double quotes'],
  ['{"a": été}', 'line 1, column 7: a string needs double quotes'],
  ['{"a": True}', 'line 1, column 7: write true'],
  ['{"a": None}', 'line 1, column 7: write null, or leave the field out'],
  ['{"a": Null}', 'line 1, column 7: write null, or leave the field out'],
  ['{"a": none}', 'line 1, column 7: write null, or leave the field out'],
  ['{"a": #FF0000}', 'line 1, column 7: a string needs double quotes: write "text"'],
  ['{"a": [#ops , 1]}', 'line 1, column 8: a string needs double quotes: write "text"'],
  ['{"a": # x\n1}', 'line 1, column 7: JSON has no comments: leave this out'],
  ['{"a": 1 #x\n}', 'line 1, column 9: JSON has no comments: leave this out'],
  ['{"a": 1,5}', 'line 1, column 9: a number has a decimal point, not a comma: write 1.5 for 1,5'],
  ['{"a": undefined}', 'line 1, column 7: JSON has no undefined: leave the field out'],
  ['{"a": -Infinity}', 'line 1, column 7: JSON has no Infinity: leave the field out'],
  ['{"a": NaN}', 'line 1, column 7: JSON has no NaN: leave the field out'],
  ['{"a": 01}', 'line 1, column 7: not a number as JSON writes it'],
  ['{"a": .5}', 'line 1, column 7: not a number as JSON writes it'],
  ['{"a": 0x1f}', 'line 1, column 7: not a number as JSON writes it'],
  ['{"a": 1} // x', 'line 1, column 10: JSON has no comments: leave this out'],
  ['{ /* x */ }', 'line 1, column 3: JSON has no comments: leave this out'],
  ['# x\n{}', 'line 1, column 1: JSON has no comments: leave this out'],
  ['{\u00a0"a": 1}', 'line 1, column 2: a no-break space: leave it out'],
  // Something else.
  ['', 'it is empty: send a JSON object'],
  [' \n', 'it is empty: send a JSON object'],
  [`'{"to":"x"}'`, `it begins with ': leave the quotes around the JSON out (in cmd.exe, write " `],
  [`'{to:x}'`, `it begins with ': leave the quotes around the JSON out`],
  ["'x'", `line 1, column 1: a string needs straight double quotes: write " for '`],
  ['<message/>', 'it looks like XML: send it as Content-Type: application/xml'],
  ['\n<?xml version="1.0"?>', 'it looks like XML: send it as Content-Type: application/xml'],
  [
    'to=bob%40example.org&body=x',
    'it looks like a form: send it as Content-Type: application/x-www',
  ],
  [
    '--x\r\nContent-Disposition: form-data',
    'it looks like multipart/form-data, which is not supported',
  ],
])('refuses %j and says what to do', (text, expected) => {
  const { code, detail } = refusalOf(() => parseJson(text));
  expect(code).toBe('malformed-body');
  expect(detail).toContain(`The body is not JSON: ${expected}`);
});

test('refuses what the engine refuses, always with a reason', () => {
  const characters = Array.from('{}[],:"\'\\ \n-+.019eu/<=');
  const parts = [...characters, 'true', 'null', 'x', '"a"', '\\u0041', '"a":1'];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...parts)), (pieces) => {
      const text = pieces.join('');
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      expect(describeJsonFault(text) === undefined).toBe(isJson);
    }),
    { numRuns: 5000 },
  );
});

test.each([
  '{"secret": hidden}',
  '{hidden: 1}',
  '{"a": "hidden',
  '{"a": "hidden" hidden}',
  'hidden in JSON at position 5',
  `{"a": ${'hidden'.repeat(40_000)}}`,
])('refuses %.40j without repeating it', (text) => {
  const { detail } = refusalOf(() => parseJson(text));
  expect(detail).not.toContain('hidden');
  expect(detail.length).toBeLessThan(200);
});

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
  for (const part of ['[', '{"a":', '"', '\\\\', '1', 'x', '\n', '\t ', '<', '=', '[],']) {
    const many = `${part.repeat(300_000)}!`;
    for (const body of [many, `{"a": "${many}`, `{"a": ${many}`, `[${many}`]) {
      expect(refusalOf(() => parseJson(body)).code).toBe('malformed-body');
    }
  }
});
