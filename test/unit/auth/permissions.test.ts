import { describe, expect, test } from 'vitest';
import { createPermissions, parsePermission } from '../../../src/auth/permissions.ts';
import { JidError, parseJid } from '../../../src/core/jid/jid.ts';

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

describe('createPermissions', () => {
  const patterns = ['bot@example.org', '*@bots.example.org'];

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
    expect(createPermissions(patterns, undefined).has(parseJid(jid))).toBe(expected);
  });

  test('without patterns nobody has it', () => {
    expect(createPermissions([], undefined).has(parseJid('bot@example.org'))).toBe(false);
  });

  /** Grants in memory. */
  const grantsOf = (...granted: string[]) => {
    const current = new Set(granted);
    const set = async (pattern: string, isGranted: boolean) => {
      if (isGranted) current.add(pattern);
      else current.delete(pattern);
      return true;
    };
    return { current, set };
  };
  const alice = parseJid('alice@example.org');

  test('grants add to those of the configuration', async () => {
    const permissions = createPermissions(patterns, grantsOf());
    await permissions.set(alice, true);
    expect(permissions.has(alice)).toBe(true);
    await permissions.set(alice, false);
    expect(permissions.has(alice)).toBe(false);
  });

  test.each([
    ['bot@example.org', grantsOf('bot@example.org'), 'configuration'],
    ['anybody@bots.example.org', grantsOf(), 'configuration'],
    ['alice@example.org', grantsOf('*@example.org'), 'permissions.state_file'],
  ])('what is granted elsewhere is not revoked: %s', async (jid, grants, place) => {
    const permissions = createPermissions(patterns, grants);
    await expect(permissions.set(parseJid(jid), false)).rejects.toMatchObject({
      code: 'granted-in-configuration',
      message: expect.stringContaining(place),
    });
    expect(permissions.has(parseJid(jid))).toBe(true);
  });

  test.each([
    ['bot@example.org', grantsOf('bot@example.org')],
    ['anybody@bots.example.org', grantsOf('anybody@bots.example.org')],
    ['alice@example.org', grantsOf('alice@example.org', '*@example.org')],
  ])('the own grant of %s is revoked even so', async (jid, grants) => {
    const permissions = createPermissions(patterns, grants);
    await expect(permissions.set(parseJid(jid), false)).rejects.toMatchObject({
      code: 'granted-in-configuration',
    });
    expect(grants.current).not.toContain(jid);
  });

  test('without a state file nothing is granted', async () => {
    await expect(createPermissions([], undefined).set(alice, true)).rejects.toMatchObject({
      code: 'management-not-allowed',
    });
  });

  test('a state file that cannot be written is reported', async () => {
    const cause = new Error('EROFS');
    const grants = { current: new Set<string>(), set: () => Promise.reject(cause) };
    const permissions = createPermissions(patterns, grants);
    await expect(permissions.set(alice, true)).rejects.toMatchObject({
      code: 'store-unavailable',
      cause,
    });
  });

  test('a new configuration replaces the old one but no grants', () => {
    const permissions = createPermissions(patterns, grantsOf('alice@example.org'));
    permissions.update([]);
    expect(permissions.has(parseJid('bot@example.org'))).toBe(false);
    expect(permissions.has(alice)).toBe(true);
  });
});
