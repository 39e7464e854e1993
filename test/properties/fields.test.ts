import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { parseForm, parseQuery } from '../../src/http/request/fields.ts';
import { anyText } from './text-arbitrary.ts';

/** Without lone surrogates: URLSearchParams encodes those as U+FFFD. */
const encodable = anyText.map((text) => Buffer.from(text).toString());
const addresses = fc.array(encodable, { minLength: 1, maxLength: 4 });
const inQuery = { subject: encodable, type: encodable, id: encodable };
const options = { requiredKeys: [] };
const queryFields = fc.record({ ...inQuery, to: addresses }, options);
const formFields = fc.record({ ...inQuery, to: addresses, body: encodable }, options);

type Fields = Readonly<Record<string, string | readonly string[]>>;

function encode(fields: Fields): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const text of [value].flat()) pairs.append(name, text);
  }
  return pairs.toString();
}

/** What the gateway makes of the fields: a single address is not a list. */
function expected({ to, ...others }: Fields): Fields {
  if (to === undefined) return others;
  const [first = ''] = to;
  return { ...others, to: to.length === 1 ? first : to };
}

/** SEED in the environment repeats a failure, RUNS looks further. */
const parameters = {
  numRuns: Number(process.env['RUNS'] ?? 1500),
  ...(process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }),
};

test('a form that URLSearchParams encodes comes back as it was', () => {
  const check = (fields: Fields): void => {
    expect(parseForm(encode(fields))).toEqual(expected(fields));
  };
  fc.assert(fc.property(formFields, check), parameters);
});

test('a query that URLSearchParams encodes comes back as it was', () => {
  const check = (fields: Fields): void => {
    expect(parseQuery(encode(fields), 'text')).toEqual({
      isDryRun: false,
      template: undefined,
      fields: expected(fields),
    });
  };
  fc.assert(fc.property(queryFields, check), parameters);
});

test('any other text is a form or refused, and read as URLSearchParams reads it', () => {
  // Node.js garbles what is not ASCII here if a percent sign does not encode a byte.
  const pieces = ['a', 'A', '4', '+', '%', '%%', '%4', '%C3%A9', '%C3', '%00', '%26', ';', '&'];
  const name = fc.constantFrom('to', 'body', 'subject', '%74o', 't%6', '');
  const pair = fc.tuple(name, fc.array(fc.constantFrom('=', ...pieces), { maxLength: 4 }));
  const text = fc
    .array(pair, { maxLength: 4 })
    .map((pairs) => pairs.map(([first, rest]) => `${first}=${rest.join('')}`).join('&'));
  const check = (form: string): void => {
    let read: Fields;
    try {
      read = parseForm(form);
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
      return;
    }
    const reference = new URLSearchParams(form);
    for (const [field, value] of Object.entries(read)) {
      expect([value].flat()).toEqual(reference.getAll(field));
    }
  };
  fc.assert(fc.property(text, check), parameters);
});
