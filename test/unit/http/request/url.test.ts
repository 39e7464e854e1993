import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import {
  decodeSegment,
  nothingAt,
  parseOriginForm,
  parseUsername,
  requireMethod,
} from '../../../../src/http/request/url.ts';

describe('parseOriginForm', () => {
  it.each([
    ['/a/b?c=d', '/a/b?c=d'],
    ['/a%20b', '/a%20b'],
    ['http://gw.example/a?b', '/a?b'],
    ['HTTP://GW.EXAMPLE/a', '/a'],
    ['https://gw.example/a', '/a'],
  ])('%s → %s', (target, originForm) => {
    expect(parseOriginForm(target, 'gw.example')).toBe(originForm);
  });

  it.each([
    '*',
    '',
    'a',
    'http://gw.example',
    'http://gw.example?a',
    'http://gw.example:8080/a',
    'http://user@gw.example/a',
    'http://other.example/a',
    'http:///a',
    'ftp://gw.example/a',
    'gw.example:80',
    '/a#b',
    '/a\\b',
    '/ä',
    '/a b',
    '/a\u0000',
  ])('%j is refused', (target) => {
    expect(codeOf(() => parseOriginForm(target, 'gw.example'))).toBe('not-found');
  });

  it('refuses an absolute-form without a Host header', () => {
    expect(codeOf(() => parseOriginForm('http://gw.example/a', undefined))).toBe('not-found');
  });
});

describe('nothingAt', () => {
  const user = '/api/1.0/xmppdomains/example.org/gateway/messages';

  it.each([
    [`${user}/`, user],
    [`${user}/alice/`, `${user}/alice`],
    ['/api/1.0/xmppdomains/example.org/messages/alice', `${user}/alice`],
    ['/API/1.0/XmppDomains/example.org/Gateway/Messages', user],
    ['/api/1.0/xmppdomains/example.org/gateway/message', user],
    ['/xmppdomains/example.org/gateway/messages', user],
    ['/api/1.0/example.org/gateway/messages', user],
    ['//api/1.0//xmppdomains/example.org/gateway//messages/a%40b', `${user}/a%40b`],
    ['/xmpp/api/1.0/xmppdomains/example.org/gateway/messages', user],
    ['/Docs/', '/docs'],
    ['/readyz/', '/readyz'],
  ])('%s → %s', (path, meant) => {
    const { code, message } = nothingAt(path, true);
    expect(code).toBe('not-found');
    expect(message).toMatch(`Did you mean ${meant}? Paths are exact`);
  });

  it.each(['/', '/api', `${user}/alice/x`, '/api/1.0/messages', '/docs', '/v2/messages/x'])(
    'has no other path for %s, but says where the documentation is',
    (path) => {
      expect(nothingAt(path, true).message).toBe(
        `Expected ${user.replace('example.org', '<fqdn>')} or the same with /<username>. /docs explains the API, /openapi.json describes it for programs.`,
      );
      expect(nothingAt(path, false).message).not.toContain('/docs');
    },
  );

  it('does not mean a page that is switched off', () => {
    expect(nothingAt('/Docs/', false).message).not.toContain('/docs');
    expect(nothingAt('/readyz/', false).message).toMatch('Did you mean /readyz?');
  });

  it('is short for a long path', () => {
    expect(nothingAt(`${user}/${'a/'.repeat(50_000)}`, true).message.length).toBeLessThan(300);
    expect(nothingAt(`${user}/${'a'.repeat(50_000)}/`, true).message.length).toBeLessThan(300);
  });
});

describe('parseUsername', () => {
  it.each([
    ['a%40b', 'must not contain "@", got "a@b"'],
    ['a%20b', 'must not contain a space, got "a b"'],
  ])('says what is wrong with %s', (segment, expected) => {
    expect(() => parseUsername(segment, 'example.org')).toThrow(
      `The user name in the URL cannot be one. The name before the @ ${expected}.`,
    );
  });
});

it.each([
  ['alice@example.org', 'example.org'],
  ['alice%40EXAMPLE.org', 'Example.org'],
])('the name %s at the domain %s is one with its domain', (segment, fqdn) => {
  expect(() => parseUsername(segment, fqdn)).toThrow(
    'The user name in the URL has a domain. Write only alice: the domain is in the URL already.',
  );
});

describe('decodeSegment', () => {
  it.each([
    ['juliet', 'juliet'],
    ['j%C3%BCliet', 'jüliet'],
    ['%252F', '%2F'],
    ['a+b', 'a+b'],
    ['%2F', '/'],
  ])('%s → %s', (segment, text) => {
    expect(decodeSegment(segment)).toBe(text);
  });

  it.each(['%', '%2', '%zz', '%ff', '%c3', '%c0%ae', '%ed%a0%80', '%u0041'])(
    '%s is refused',
    (segment) => {
      expect(codeOf(() => decodeSegment(segment))).toBe('not-found');
    },
  );
});

describe('requireMethod', () => {
  it('names the methods that the URL supports', () => {
    expect(() => requireMethod('POST', ['POST'])).not.toThrow();
    expect(() => requireMethod('BREW', ['GET', 'HEAD'])).toThrow(
      expect.objectContaining({ code: 'method-not-allowed', options: { allow: ['GET', 'HEAD'] } }),
    );
  });
});

function codeOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error instanceof GatewayError ? error.code : error;
  }
}
