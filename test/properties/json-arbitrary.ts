import * as fc from 'fast-check';
import { anyAddress, anyText, badNames, goodNames, mutated } from './text-arbitrary.ts';
import { extraElements } from './xml-arbitrary.ts';

/** Mostly values of the first, rarely of the second. */
function often<T>(usual: fc.Arbitrary<T>, unusual: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: unusual });
}

const anyValue = fc.jsonValue();

const attributeName = often(
  fc.constantFrom(...goodNames, 'xml:lang', 'xml:id', '__proto__', 'constructor', 'b', 'c'),
  fc.oneof(fc.constantFrom(...badNames), anyText),
);

const attributeValue = often<unknown>(
  fc.oneof(anyText, fc.double({ noNaN: true }), fc.boolean(), fc.integer()),
  anyValue,
);

const given = fc.oneof(
  fc.tuple(fc.constant('type'), fc.constantFrom<unknown>('chat', 'headline', 'normal', 'error')),
  fc.tuple(fc.constant('id'), fc.oneof<fc.Arbitrary<unknown>[]>(anyText, fc.integer())),
  fc.tuple(fc.constant('from'), fc.oneof<fc.Arbitrary<unknown>[]>(anyText, fc.integer())),
  fc.tuple(fc.constant('xmlns'), fc.constant<unknown>('jabber:client')),
);

/** From entries, because a record could not have the name `__proto__`. */
const attributes = fc
  .array(fc.oneof(fc.tuple(attributeName, attributeValue), given), { maxLength: 3 })
  .map((entries) => Object.fromEntries(entries));

const fields = fc.record(
  {
    to: often<unknown>(anyAddress, anyValue),
    body: often<unknown>(anyText, anyValue),
    subject: often<unknown>(anyText, anyValue),
    message_attributes: often<unknown>(attributes, anyValue),
    body_attributes: often<unknown>(attributes, anyValue),
    extra_elements: often<unknown>(extraElements, anyValue),
  },
  { requiredKeys: ['to', 'body'] },
);

const unknownField = fc.tuple(anyText, anyValue).map(([name, value]) => ({ [name]: value }));

/** A JSON body, mostly a good one. */
export const messageJson = often<unknown>(
  fields,
  fc.oneof(
    anyValue,
    fc.tuple(fields, unknownField).map(([a, b]) => ({ ...a, ...b })),
  ),
).map((value) => JSON.stringify(value));

const harmless = [
  'a',
  'é',
  '😀',
  '\\n',
  '\\u00e9',
  '&',
  '<',
  '>',
  "'",
  ' ',
  '\\ud83d\\ude00',
  '\\/',
];
const pieces = [
  '"',
  '\\',
  ',',
  ':',
  '{',
  '}',
  '[',
  ']',
  '\\u0000',
  '\\ud800',
  '\ufeff',
  '\u0000',
  '\n',
  '0',
  'null',
  '1e999',
  '-0',
  '"to":',
  '"to":"a@b.example",',
  '"__proto__":{},',
  '"body":"",',
  '/**/',
];

/** Such a body after random changes. */
export const mutatedJson = mutated(messageJson, harmless, pieces);
