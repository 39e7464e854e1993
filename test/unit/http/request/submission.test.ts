import { describe, expect, test } from 'vitest';
import type { Notation } from '../../../../src/http/request/media-type.ts';
import { type ParsedRequest, parseRequest } from '../../../../src/http/request/submission.ts';
import { context } from '../../core/message-context.ts';
import { refusalOf } from '../../core/refusal.ts';

function parse(notation: Exclude<Notation, 'lines'>, text: string, query = ''): ParsedRequest {
  return parseRequest(notation, text, query, context, () => 'rendered');
}

describe.each<[Exclude<Notation, 'lines'>, string, string]>([
  ['form', 'to=bob@example.org&body=', ''],
  ['form', 'to=bob@example.org&body=&subject=x', ''],
  ['text', '', 'to=bob@example.org'],
])('an empty text from a shell: %s %j ?%s', (notation, text, query) => {
  test('is refused', () => {
    expect(refusalOf(() => parse(notation, text, query))).toMatchObject({
      code: 'invalid-message',
      detail:
        '/body: Expected a text, got an empty one: is the variable set, and did the command work?',
      pointers: ['/body'],
    });
  });
});

test.each<[Exclude<Notation, 'lines'>, string, string]>([
  ['json', '{"to": "bob@example.org", "body": ""}', ''],
  ['form', 'to=bob@example.org&subject=x', ''],
  ['text', '', 'to=bob@example.org&subject=x'],
  ['xml', '<message to="bob@example.org"><body/></message>', ''],
])('%s %j ?%s may have no text', (notation, text, query) => {
  expect(parse(notation, text, query).messages).toHaveLength(1);
});

test.each<[Exclude<Notation, 'lines'>, string, string]>([
  ['text', 'Disk full', ''],
  ['json', '{"alerts": []}', 'template=alertmanager'],
])('%s %j ?%s lacks the recipient in the URL', (notation, text, query) => {
  expect(refusalOf(() => parse(notation, text, query))).toMatchObject({
    detail:
      '/to: Expected the recipient in the URL: ?to=user@example.org (in a shell, quote the URL).',
    pointers: ['/to'],
  });
});

test('a list of recipients as one text', () => {
  const query = 'to=a@example.org,b@example.org';
  expect(refusalOf(() => parse('text', 'x', query)).detail).toContain('with to repeated in a form');
});
