import { describe, expect, it } from 'vitest';
import {
  buildAuthorization,
  buildHeaders,
  buildMessage,
  buildPath,
  cutDomain,
  findGaps,
} from '../../../docs-page/message-request.ts';
import { complete, empty } from './values.ts';

describe('the request', () => {
  it('leaves out what is empty', () => {
    expect(buildMessage(complete)).toEqual({ to: 'bob@example.org', body: 'Hi' });
    expect(buildPath(complete)).toBe('api/1.0/xmppdomains/example.org/gateway/messages');
    expect(buildHeaders('text/plain', complete)).toEqual({ 'Content-Type': 'text/plain' });
  });

  it('puts in what is filled in', () => {
    const values = {
      ...complete,
      account: 'api',
      domain: 'bücher.example',
      sender: 'a/b?',
      subject: 's',
      type: 'headline',
      id: '1',
      extra: '<a/>',
      key: 'k',
    } as const;
    expect(buildPath(values)).toBe(
      'api/1.0/xmppdomains/b%C3%BCcher.example/gateway/messages/a%2Fb%3F',
    );
    expect(buildHeaders('text/plain', values)['Idempotency-Key']).toBe('k');
    expect(buildMessage(values)).toEqual({
      to: 'bob@example.org',
      body: 'Hi',
      subject: 's',
      type: 'headline',
      id: '1',
      extra_elements: '<a/>',
    });
  });
});

it('buildAuthorization writes UTF-8', () => {
  const header = buildAuthorization('bücher', 'p:w ✓');
  expect(Buffer.from(header.replace('Basic ', ''), 'base64').toString()).toBe('bücher:p:w ✓');
});

describe('findGaps', () => {
  it.each([
    ['nothing', complete, []],
    ['everything', empty, ['login', 'password', 'domain', 'to', 'body']],
    ['the sender of an API account', { ...complete, account: 'api', sender: '' }, ['sender']],
    ['no text beside a subject', { ...complete, body: '', subject: 'x' }, []],
    ['no text beside elements', { ...complete, body: '', extra: '<x/>' }, []],
  ] as const)('misses %s', (_, values, expected) => {
    expect(Object.keys(findGaps(values))).toEqual(expected);
  });
});

it.each([
  ['alice', 'alice'],
  ['alice@example.org', 'alice'],
  ['alice@Example.org', 'alice'],
  ['alice@example.net', 'alice@example.net'],
])('cutDomain makes of %s %s', (sender, expected) => {
  expect(cutDomain(sender, 'example.org')).toBe(expected);
});
