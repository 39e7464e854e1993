import { describe, expect, test } from 'vitest';
import { isPermitted, parsePermission } from '../../../src/auth/permissions.ts';
import { JidError, parseJid } from '../../../src/core/jid.ts';

describe('parsePermission', () => {
  test.each([
    ['bot@example.org', 'bot@example.org', 'example.org'],
    ['BOT@EXAMPLE.org', 'bot@example.org', 'example.org'],
    ['*@example.org', '*@example.org', 'example.org'],
    ['*@BÜCHER.example', '*@bücher.example', 'bücher.example'],
    ['*@xn--bcher-kva.example', '*@bücher.example', 'bücher.example'],
  ])('%s is %s', (text, pattern, domain) => {
    expect(parsePermission(text)).toEqual({ pattern, domain });
  });

  test.each([
    '',
    '*',
    '*@',
    '@example.org',
    'example.org',
    'bot@',
    'bot@example.org/x',
    '*@*.org',
    'bot*@example.org',
    '*@example.org/x',
    'a@b@example.org',
  ])('refuses %j', (text) => {
    expect(() => parsePermission(text)).toThrow(JidError);
  });
});

describe('isPermitted', () => {
  const patterns = new Set(['bot@example.org', '*@bots.example.org']);

  test.each([
    ['bot@example.org', true],
    ['BOT@example.org', true],
    ['anybody@bots.example.org', true],
    ['*@bots.example.org', true],
    ['bot2@example.org', false],
    ['*@example.org', false],
    ['bot@bots.example.org.evil.example', false],
    ['bot@sub.bots.example.org', false],
  ])('%s: %s', (jid, expected) => {
    expect(isPermitted(parseJid(jid), patterns)).toBe(expected);
  });

  test('nobody is, without patterns', () => {
    expect(isPermitted(parseJid('bot@example.org'), new Set())).toBe(false);
  });
});
