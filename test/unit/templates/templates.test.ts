import { expect, test } from 'vitest';
import { createTemplates } from '../../../src/templates/templates.ts';
import { refusalOf } from '../core/refusal.ts';

const builtIn = { 'tool-1': 'Tool 1: {{ text }}', other: 'Other' };

test('the text has no white space around it, and no carriage returns', () => {
  const templates = createTemplates(builtIn, { own: '\n {{ text }}\r\n\r b \n' }, 100);
  expect(templates.render('own', { text: ' a\r\nb' })).toBe('a\nb\n\n b');
});

test('a template of the operator replaces a built-in one of the same name, until it is gone', () => {
  const templates = createTemplates(builtIn, { other: 'Mine' }, 100);
  expect(templates.render('other', {})).toBe('Mine');
  templates.update({});
  expect(templates.render('other', {})).toBe('Other');
  templates.update({ fresh: 'Fresh' });
  expect(templates.render('fresh', {})).toBe('Fresh');
});

test('a faulty update changes nothing', () => {
  const templates = createTemplates(builtIn, { other: 'Mine' }, 100);
  expect(() => templates.update({ fresh: 'Fresh', other: '{% foo %}' })).toThrow('tag "foo"');
  expect(templates.render('other', {})).toBe('Mine');
});

const templates = createTemplates(builtIn, { empty: ' \n', nested: '{{ a.b }}{{ c }}' }, 100);

test.each<[string, string, unknown, string]>([
  [
    'an unknown name',
    'grafanna',
    {},
    'There is no template "grafanna". There are: empty, nested, other, tool-1.',
  ],
  ['a name of Object.prototype', 'constructor', {}, 'There is no template "constructor".'],
  [
    'a template that fails',
    'tool-1',
    { text: { toString: 1, valueOf: 1 } },
    'The template tool-1 fails at line 1: a value that is not text.',
  ],
  [
    'a long text',
    'tool-1',
    { text: 'x'.repeat(100) },
    'The text of the template tool-1: expected at most 100 characters, got 108.',
  ],
  [
    'another payload',
    'nested',
    { title: 1, 'a b': 2 },
    'The template nested has no text for this payload: it looks for a, c, and the payload is an object with "title", "a b".',
  ],
  [
    'many names',
    'nested',
    { d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1 },
    '"k" and more.',
  ],
  ['an empty object', 'nested', {}, 'the payload is an empty object.'],
  ['a list', 'nested', [], 'the payload is a list.'],
  ['null', 'nested', null, 'the payload is null.'],
  ['a text', 'nested', 'x', 'the payload is a string.'],
  ['a template without variables', 'empty', {}, 'it looks for nothing'],
])('refuses %s', (_, name, data, detail) => {
  const refusal = refusalOf(() => templates.render(name, data));
  expect(refusal).toMatchObject({
    code: 'invalid-message',
    detail: expect.stringContaining(detail),
  });
});
