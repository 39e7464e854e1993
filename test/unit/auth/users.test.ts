import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LoginFailure } from '../../../src/auth/login.ts';
import { createPermissions } from '../../../src/auth/permissions.ts';
import { createThrottle } from '../../../src/auth/throttle/throttle.ts';
import { createUsers, type PasswordCheck, type Users } from '../../../src/auth/users.ts';
import { GatewayError } from '../../../src/core/errors.ts';
import { parseJid } from '../../../src/core/jid/jid.ts';

beforeEach(() => {
  vi.useFakeTimers();
  // lru-cache mistakes an entry that was made at 0 for one without a time.
  vi.advanceTimersByTime(1000);
});
afterEach(() => {
  vi.useRealTimers();
});

const here = '192.0.2.1';
const there = '192.0.2.2';
const domain = 'example.org';

/** Users whose server knows these passwords, and counts how often it is asked. */
function setUp(passwords: Record<string, string> = { 'alice@example.org': 'secret' }) {
  const server = { passwords, isDown: false };
  const passwordCheck = vi.fn<PasswordCheck>(async (user, password) => {
    await Promise.resolve();
    if (server.isDown) throw new GatewayError('authentication-unavailable', 'down');
    return server.passwords[user.toString()] === password;
  });
  const onFailure = vi.fn<(failure: LoginFailure) => void>();
  const permissions = createPermissions(['alice@example.org', '*@bots.example.org'], undefined);
  const users = createUsers({
    passwordCheck,
    onFailure,
    cacheMs: 60_000,
    refusalStepMs: 1,
    permissions,
    throttle: createThrottle({ perAddress: 6, perUser: 3, windowMs: 60_000 }),
  });
  return { users, permissions, server, passwordCheck, onFailure };
}

function login(users: Users, username: string, password: string, address = here) {
  return users.authenticate({ username, password }, domain, address);
}

async function refusal(promise: Promise<unknown>): Promise<GatewayError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof GatewayError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

async function code(promise: Promise<unknown>): Promise<string> {
  return (await refusal(promise)).code;
}

describe('user names', () => {
  test.each(['alice', 'ALICE', 'ａｌｉｃｅ', 'alice@example.org', 'Alice@EXAMPLE.org'])(
    '%s is alice',
    async (username) => {
      const { users, passwordCheck } = setUp();
      const jid = await login(users, username, 'secret');
      expect(jid.toString()).toBe('alice@example.org');
      expect(passwordCheck.mock.calls[0]?.[0].toString()).toBe('alice@example.org');
    },
  );

  test.each([
    'alice@example.com',
    'alice@example.org/resource',
    'alice@example.org@example.org',
    'alice/example.org',
    '@example.org',
    'example.org@',
    'al ice',
    'al\u200bice\u0000',
    'a'.repeat(1024),
  ])('%j is nobody, and no server is asked', async (username) => {
    const { users, passwordCheck, onFailure } = setUp();
    expect(await code(login(users, username, 'secret'))).toBe('unauthenticated');
    expect(passwordCheck).not.toHaveBeenCalled();
    expect(onFailure).toHaveBeenCalledTimes(1);
  });
});

describe('refusals', () => {
  test('are the same for no, malformed, unknown and wrong credentials', async () => {
    const { users } = setUp();
    const errors = await Promise.all([
      refusal(users.authenticate('missing', domain, here)),
      refusal(users.authenticate('malformed', domain, here)),
      refusal(login(users, 'a b', 'secret')),
      refusal(login(users, 'nobody', 'secret')),
      refusal(login(users, 'alice', 'wrong')),
    ]);
    for (const { code: problem, message, options } of errors) {
      expect(problem).toBe('unauthenticated');
      expect(message).toBe(errors[0]?.message);
      expect(options).toEqual({ realm: domain });
    }
  });

  test('say that credentials are not UTF-8, and nothing else differs', async () => {
    const { users, onFailure, passwordCheck } = setUp();
    const wrong = await refusal(login(users, 'nobody', 'secret'));
    passwordCheck.mockClear();
    const {
      message,
      options,
      code: problem,
    } = await refusal(users.authenticate('not-utf8', domain, here));
    expect({ problem, options }).toEqual({ problem: wrong.code, options: wrong.options });
    expect(message).toBe(
      `User name and password are not in UTF-8, but perhaps in Latin-1: send them in UTF-8. ${wrong.message}`,
    );
    expect(onFailure).toHaveBeenLastCalledWith({ address: here, user: undefined });
    expect(passwordCheck).not.toHaveBeenCalled();
  });

  test('ask the server for unknown users as well as for wrong passwords', async () => {
    const { users, passwordCheck } = setUp();
    await code(login(users, 'nobody', 'wrong'));
    await code(login(users, 'alice', 'wrong'));
    expect(passwordCheck).toHaveBeenCalledTimes(2);
  });

  test('are logged, except for a missing header', async () => {
    const { users, onFailure } = setUp();
    await code(users.authenticate('missing', domain, here));
    await code(users.authenticate('malformed', domain, here));
    await code(login(users, 'alice', 'wrong'));
    await code(login(users, 'x'.repeat(2000), 'wrong'));
    expect(onFailure.mock.calls).toEqual([
      [{ address: here, user: undefined }],
      [{ address: here, user: 'alice' }],
      [{ address: here, user: 'x'.repeat(100) }],
    ]);
  });
});

describe('cache', () => {
  test('spares the server until it expires', async () => {
    const { users, passwordCheck } = setUp();
    for (let index = 0; index < 10; index += 1) await login(users, 'alice', 'secret');
    expect(passwordCheck).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(60_001);
    await login(users, 'alice', 'secret');
    expect(passwordCheck).toHaveBeenCalledTimes(2);
  });

  test('an old password stops working once it expires', async () => {
    const { users, server } = setUp();
    await login(users, 'alice', 'secret');
    server.passwords['alice@example.org'] = 'changed';
    await login(users, 'alice', 'changed');
    vi.advanceTimersByTime(60_001);
    expect(await code(login(users, 'alice', 'secret'))).toBe('unauthenticated');
  });

  test('a password is remembered for its user only', async () => {
    const { users } = setUp();
    await login(users, 'alice', 'secret');
    expect(await code(login(users, 'bob', 'secret'))).toBe('unauthenticated');
    expect(
      await code(
        users.authenticate({ username: 'alice', password: 'secret' }, 'example.net', here),
      ),
    ).toBe('unauthenticated');
  });

  test('joins concurrent checks of the same credentials from all addresses', async () => {
    const { users, passwordCheck } = setUp();
    const logins = Array.from({ length: 500 }, async (_, index) =>
      login(users, 'alice', 'secret', `192.0.2.${index % 250}`),
    );
    await Promise.all(logins);
    expect(passwordCheck).toHaveBeenCalledTimes(1);
  });
});

describe('throttle', () => {
  test('refuses fresh checks of a user, but serves remembered credentials', async () => {
    const { users, passwordCheck } = setUp();
    await login(users, 'alice', 'secret', there);
    for (let index = 0; index < 3; index += 1) {
      expect(await code(login(users, 'alice', `wrong${index}`))).toBe('unauthenticated');
    }
    const asked = passwordCheck.mock.calls.length;
    const refused = await refusal(login(users, 'alice', 'another'));
    expect(refused.code).toBe('too-many-requests');
    expect(refused.options.retryAfterSeconds).toBe(60);
    expect(await code(login(users, 'alice', 'another', '192.0.2.3'))).toBe('too-many-requests');
    expect(passwordCheck).toHaveBeenCalledTimes(asked);
    expect((await login(users, 'alice', 'secret')).toString()).toBe('alice@example.org');
  });

  test('lets a user in from a known address even if nothing is remembered', async () => {
    const { users } = setUp();
    await login(users, 'alice', 'secret', there);
    vi.advanceTimersByTime(60_001);
    for (let index = 0; index < 4; index += 1) await code(login(users, 'alice', `wrong${index}`));
    expect(await code(login(users, 'alice', 'secret'))).toBe('too-many-requests');
    expect((await login(users, 'alice', 'secret', there)).local).toBe('alice');
  });

  test('counts all spellings of a user as one', async () => {
    const { users } = setUp();
    for (const name of ['alice', 'ALICE', 'alice@example.org']) await code(login(users, name, 'x'));
    expect(await code(login(users, 'ａlice', 'y'))).toBe('too-many-requests');
  });

  test('counts failures without a check by address, but not a missing header', async () => {
    const { users } = setUp();
    for (let index = 0; index < 20; index += 1) {
      await code(users.authenticate('missing', domain, here));
    }
    await login(users, 'alice', 'secret');
    for (let index = 0; index < 3; index += 1) {
      await code(users.authenticate('malformed', domain, here));
      await code(login(users, 'a b', 'x'));
    }
    expect(await code(login(users, 'bob', 'x'))).toBe('too-many-requests');
    expect(await code(login(users, 'bob', 'x', there))).toBe('unauthenticated');
    expect((await login(users, 'alice', 'secret')).local).toBe('alice');
  });

  test('does not count a server that is down, nor remember it', async () => {
    const { users, server } = setUp();
    server.isDown = true;
    for (let index = 0; index < 20; index += 1) {
      expect(await code(login(users, 'alice', 'secret'))).toBe('authentication-unavailable');
    }
    server.isDown = false;
    expect((await login(users, 'alice', 'secret')).local).toBe('alice');
  });

  test('a flood of parallel guesses costs the server no more than the limit', async () => {
    const { users, passwordCheck } = setUp();
    const guesses = Array.from({ length: 1000 }, async (_, index) =>
      code(login(users, `user${index}`, 'x')),
    );
    const codes = await Promise.all(guesses);
    expect(passwordCheck).toHaveBeenCalledTimes(6);
    expect(codes.filter((text) => text === 'too-many-requests')).toHaveLength(994);
  });

  test('many users at once from one address all get in', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `u${index}`);
    const { users } = setUp(
      Object.fromEntries(names.map((name) => [`${name}@example.org`, 'secret'])),
    );
    const jids = await Promise.all(names.map(async (name) => login(users, name, 'secret')));
    expect(jids.map(({ local }) => local)).toEqual(names);
  });
});

describe('permission', () => {
  test('is denied unless granted', () => {
    const { users } = setUp();
    expect(() => users.authorize(parseJid('alice@example.org'))).not.toThrow();
    expect(() => users.authorize(parseJid('x@bots.example.org'))).not.toThrow();
    expect(() => users.authorize(parseJid('bob@example.org'))).toThrow(
      expect.objectContaining({
        code: 'permission-missing',
        message: expect.stringMatching(/^bob@example\.org needs .* grant bob@example\.org /),
      }),
    );
  });

  test('follows an update at once', async () => {
    const { users, permissions } = setUp();
    const jid = await login(users, 'alice', 'secret');
    permissions.update(['bob@example.org']);
    expect(() => users.authorize(jid)).toThrow(GatewayError);
    expect(() => users.authorize(parseJid('bob@example.org'))).not.toThrow();
  });
});
