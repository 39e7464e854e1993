import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/core/errors.ts';
import { createTemplates, readBuiltInTemplates } from '../../../src/templates/templates.ts';
import { refusalOf } from '../core/refusal.ts';

const corpus = fileURLToPath(new URL('../../corpus/webhooks', import.meta.url));
const builtIn = readBuiltInTemplates(
  fileURLToPath(new URL('../../../src/templates/built-in', import.meta.url)),
);
const names = Object.keys(builtIn);
const templates = createTemplates(builtIn, {}, 262_144);

const cases = names.flatMap((name) =>
  readdirSync(join(corpus, name))
    .filter((file) => file.endsWith('.json'))
    .map((file) => [name, file.replace('.json', '')]),
);

test('every tool of the corpus has its template', () => {
  const tools = readdirSync(corpus, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(tools.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
});

test.each(cases)('%s: %s', (name, payload) => {
  const read = (extension: string): string =>
    readFileSync(join(corpus, name, `${payload}.${extension}`), 'utf8');
  expect(`${templates.render(name, JSON.parse(read('json')))}\n`).toBe(read('txt'));
});

/** The fields that the built-in templates look for. */
const fields =
  `alerts status title message evalMatches msg monitor heartbeat text blocks attachments data
  sender repository commits ref after pull_request object_attributes object_kind builds project user
  action`.split(/\s+/);

/** A payload with a value of a hostile kind in each of the fields. */
function hostilePayload(create: () => unknown): object {
  return Object.fromEntries(fields.map((field) => [field, create()]));
}

function repeat<T>(count: number, create: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => create(index));
}

function nest(depth: number): unknown {
  return JSON.parse('{"text":['.repeat(depth) + '""' + ']}'.repeat(depth));
}

describe.each(names)('%s', (name) => {
  test.each<[string, unknown]>([
    ['null', null],
    ['a list', [1, 2]],
    ['another object', { foo: 1 }],
  ])('says what it looks for when the payload is %s', (_, payload) => {
    expect(refusalOf(() => templates.render(name, payload))).toMatchObject({
      code: 'invalid-message',
      detail: expect.stringContaining(
        `The template ${name} has no text for this payload: it looks`,
      ),
    });
  });

  test.each<[string, () => unknown]>([
    ['long lists of numbers', () => repeat(5000, (index) => index)],
    ['long lists of objects', () => repeat(5000, () => ({ text: 'x' }))],
    ['lists of lists', () => repeat(100, () => ({ elements: repeat(100, () => [1]) }))],
    ['long texts', () => '<a|b>'.repeat(10_000)],
    ['deep nesting', () => nest(5000)],
    ['objects that cannot be text', () => ({ toString: 1, valueOf: {}, text: { toString: null } })],
    ['names of prototypes', () => JSON.parse('{"__proto__": {"size": 1}, "constructor": "x"}')],
    ['numbers and booleans', () => 1e308],
  ])('renders or refuses %s', (_, create) => {
    let text = '';
    try {
      text = templates.render(name, hostilePayload(create));
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      expect(error.code).toBe('invalid-message');
    }
    expect(text.length).toBeLessThanOrEqual(262_144);
  });
});
