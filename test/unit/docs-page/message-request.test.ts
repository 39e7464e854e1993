import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  buildAuthorization,
  buildCurlLine,
  buildRequest,
  type FormValues,
} from '../../../docs-page/message-request.ts';

const empty: FormValues = {
  account: 'user',
  login: 'bot',
  password: 'pw',
  domain: 'example.org',
  sender: 'alice',
  to: 'bob@example.org',
  type: 'chat',
  body: '',
  id: '',
  extra: '',
  key: '',
};

describe('buildRequest', () => {
  it('leaves out what is empty', () => {
    expect(buildRequest(empty)).toEqual({
      path: '/api/1.0/xmppdomains/example.org/gateway/messages',
      headers: { 'Content-Type': 'application/json' },
      body: '{"to":"bob@example.org"}',
    });
  });

  it('puts in what is filled in', () => {
    const values: FormValues = {
      ...empty,
      account: 'api',
      domain: 'bücher.example',
      sender: 'a/b?',
      type: 'headline',
      body: 'x',
      id: '1',
      extra: '<a/>',
      key: 'k',
    };
    const { path, headers, body } = buildRequest(values);
    expect(path).toBe('/api/1.0/xmppdomains/b%C3%BCcher.example/gateway/messages/a%2Fb%3F');
    expect(headers).toEqual({ 'Content-Type': 'application/json', 'Idempotency-Key': 'k' });
    expect(JSON.parse(body)).toEqual({
      to: 'bob@example.org',
      body: 'x',
      message_attributes: { id: '1', type: 'headline' },
      extra_elements: '<a/>',
    });
  });
});

it('buildAuthorization writes UTF-8', () => {
  const header = buildAuthorization('bücher', 'p:w ✓');
  expect(Buffer.from(header.replace('Basic ', ''), 'base64').toString()).toBe('bücher:p:w ✓');
});

it('buildCurlLine makes words that a shell reads back', () => {
  const request = { path: "/a'b", headers: { 'X-Y': '$HOME `id`' }, body: '{"\\n": "\'\' !"}\n' };
  const line = buildCurlLine(request, 'http://h:1', "o'brien");
  const { stdout } = spawnSync('sh', ['-c', line.replace('curl', "printf '%s|'")], {
    encoding: 'utf8',
  });
  expect(stdout.split('|')).toEqual([
    '-u',
    "o'brien",
    '-H',
    'X-Y: $HOME `id`',
    '-d',
    request.body,
    "http://h:1/a'b",
    '',
  ]);
});
