import { describe, expect, test } from 'vitest';
import { buildSendRequest, type SendOptions } from '../../../../src/cli/send/request.ts';

const options: SendOptions = {
  url: 'http://127.0.0.1:8080',
  user: 'bot@example.org',
  from: undefined,
  domain: undefined,
  to: ['bob@example.org'],
  type: undefined,
  subject: undefined,
  id: undefined,
  text: 'hi',
};
const messages = '/api/1.0/xmppdomains/example.org/gateway/messages';

describe('the URL', () => {
  test.each<[Partial<SendOptions>, string]>([
    [{}, `http://127.0.0.1:8080${messages}`],
    [{ user: 'bot', domain: 'example.org' }, `http://127.0.0.1:8080${messages}`],
    [{ user: 'alerts', from: 'alice@Example.org' }, `http://127.0.0.1:8080${messages}/alice`],
    [
      { user: 'a@ops', from: 'alice', domain: 'example.org' },
      `http://127.0.0.1:8080${messages}/alice`,
    ],
    [{ user: 'a@example.org', from: 'e.f' }, `http://127.0.0.1:8080${messages}/e.f`],
    [{ user: 'a@example.org', from: 'alice' }, `http://127.0.0.1:8080${messages}/alice`],
    [{ user: 'a', from: 'ü%?@example.org' }, `http://127.0.0.1:8080${messages}/%C3%BC%25%3F`],
    [{ url: 'https://chat.example.org/gw/' }, `https://chat.example.org/gw${messages}`],
    [{ url: 'http://[::1]:8080/' }, `http://[::1]:8080${messages}`],
  ])('%j', (given, url) => {
    expect(buildSendRequest({ ...options, ...given }).url).toBe(url);
  });
});

test.each<[Partial<SendOptions>, object]>([
  [{}, { to: 'bob@example.org', body: 'hi' }],
  [
    { type: 'chat', id: '1', subject: 'R&D <1>' },
    { to: 'bob@example.org', type: 'chat', id: '1', subject: 'R&D <1>', body: 'hi' },
  ],
  [
    { to: ['bob@example.org', 'ops@rooms.example.org'] },
    { to: ['bob@example.org', 'ops@rooms.example.org'], body: 'hi' },
  ],
])('the body: %j', (given, body) => {
  expect(JSON.parse(buildSendRequest({ ...options, ...given }).body)).toEqual(body);
});

describe('wrong usage', () => {
  test.each<[Partial<SendOptions>, string]>([
    [{ user: 'bot' }, 'expected from, the user as whom an API account speaks'],
    [{ user: 'alerts', from: 'alice' }, 'a JID as from, or a domain'],
    [{ user: 'bot@example.org/x' }, 'bare JID as user'],
    [{ from: '@example.org' }, 'from: '],
    [{ from: 'alice@example.org', domain: 'example.net' }, 'one domain'],
  ])('%j', (given, sentence) => {
    expect(() => buildSendRequest({ ...options, ...given })).toThrow(sentence);
  });
});
