import { describe, expect, it, test } from 'vitest';
import { parseForm, parseQuery } from '../../../../src/http/request/fields.ts';
import { refusalOf } from '../../core/refusal.ts';

describe('parseQuery', () => {
  it.each([
    ['', false],
    ['format=json', false],
    ['dry_run=false', false],
    ['dry_run=true', true],
    ['dry_run=true&format=json', true],
    ['format=json&dry_run=true', true],
    ['format=json&dry_run=false', false],
  ])('%j: dry run %s', (query, isDryRun) => {
    const expected = { isDryRun, template: undefined, fields: {} };
    for (const notation of ['json', 'xml', 'form', 'text'] as const) {
      expect(parseQuery(query, notation)).toEqual(expected);
    }
  });

  it.each([
    'x',
    '?',
    '&',
    'format=json&',
    'format=xml',
    'format=JSON',
    'format=json&format=json',
    'dry_run',
    'dry_run=',
    'dry_run=1',
    'dry_run=True',
    'dry_run=true=',
    'dry_run==true',
    'dry%5Frun=true',
    'DRY_RUN=true',
    'dry_run=true&dry_run=true',
    'dry_run=true&dry_run=false',
    'constructor=name',
    'body=x',
  ])('%j is refused', (query) => {
    for (const notation of ['json', 'xml', 'form', 'text'] as const) {
      expect(refusalOf(() => parseQuery(query, notation)).code).toBe('invalid-message');
    }
  });

  it.each(['to=bob@example.org', 'subject=x', 'type=chat', 'id=1'])(
    '%j belongs in the body, unless that is only the text',
    (query) => {
      for (const notation of ['json', 'xml', 'form'] as const) {
        expect(refusalOf(() => parseQuery(query, notation)).detail).toMatch(
          /belongs in the body; in the query it is for text\/plain and templates \(template=NAME\) only/,
        );
      }
      const [name = '', value] = query.split('=');
      expect(parseQuery(query, 'text').fields).toEqual({ [name]: value });
      expect(parseQuery(`template=slack&${query}`, 'json')).toMatchObject({
        template: 'slack',
        fields: { [name]: value },
      });
    },
  );

  it.each(['xml', 'form', 'text'] as const)('a template is not for %s', (notation) => {
    const refusal = refusalOf(() => parseQuery('template=slack', notation));
    expect(refusal).toMatchObject({
      code: 'invalid-message',
      detail: 'A template needs Content-Type: application/json.',
    });
  });
});

describe('parseForm', () => {
  it.each<[string, object]>([
    ['', {}],
    ['&&', {}],
    ['to=bob%40example.org&body=a+b%2Bc', { to: 'bob@example.org', body: 'a b+c' }],
    ['to=a@b.example&to=c@d.example', { to: ['a@b.example', 'c@d.example'] }],
    ['body=Disk 93% full', { body: 'Disk 93% full' }],
    ['body=%E2%82%AC and €', { body: '€ and €' }],
    ['body=a=b=c&subject=', { body: 'a=b=c', subject: '' }],
    ['body', { body: '' }],
    ['body=%00', { body: '\0' }],
  ])('%j', (form, fields) => {
    expect(parseForm(form)).toEqual(fields);
  });

  it.each([
    ['body=%ff', ['/body']],
    ['body=%e2%82', ['/body']],
    ['body=a&body=b', ['/body']],
    ['to=a&subject=a&subject=b&x=1', ['/subject', '/x']],
    ['dry_run=true', ['/dry_run']],
    ['template=slack', ['/template']],
    ['extra_elements=<x/>', ['/extra_elements']],
    ['=x', ['/']],
    ['__proto__=x', ['/__proto__']],
  ])('%j is refused', (form, pointers) => {
    const refusal = refusalOf(() => parseForm(form));
    expect(refusal.code).toBe('invalid-message');
    expect(refusal.pointers).toEqual(pointers);
  });
});

test.each([
  [
    '{"to": "bob@example.org", "body": "a&b=c"}',
    "This looks like JSON: add -H 'Content-Type: application/json' (or use curl --json).",
  ],
  [
    '\ufeff\n[{"to": "x"}]',
    "This looks like JSON: add -H 'Content-Type: application/json' (or use curl --json).",
  ],
  [
    '<message to="bob@example.org"/>',
    "This looks like XML: add -H 'Content-Type: application/xml'.",
  ],
])('%j is no form', (text, detail) => {
  expect(refusalOf(() => parseForm(text))).toMatchObject({ detail, pointers: [''] });
});

test.each([
  ['body=R&D', ' If this is part of the text, it has an & or =: use --data-urlencode.'],
  ['to[]=a', 'The field "to[]" is unknown. Did you mean to?'],
  ['Text=a', 'The field "Text" is unknown. Did you mean body?'],
])('%j: %s', (form, sentence) => {
  expect(refusalOf(() => parseForm(form)).detail).toContain(sentence);
});

test('a form of 256 KiB takes no longer than its length allows', () => {
  const many = 'to=a&'.repeat(50_000);
  expect(parseForm(many)['to']).toHaveLength(50_000);
  const percent = `body=${'%25'.repeat(80_000)}`;
  expect(parseForm(percent)['body']).toHaveLength(80_000);
  expect(refusalOf(() => parseForm(' '.repeat(250_000))).code).toBe('invalid-message');
});
