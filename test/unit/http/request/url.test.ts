import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { decodeSegment, parseOriginForm, requireMethod } from '../../../../src/http/request/url.ts';

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
