import { scrypt, scryptSync } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import {
  type ApiAccount,
  type ApiAccountOptions,
  type ApiAccounts,
  createApiAccounts,
} from '../../../src/auth/api-accounts.ts';
import type { LoginFailure } from '../../../src/auth/login.ts';
import { createThrottle } from '../../../src/auth/throttle/throttle.ts';
import { GatewayError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';

// Otherwise the modules that another file has loaded would go on with what is replaced here.
vi.hoisted(() => vi.resetModules());
vi.mock('node:crypto', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:crypto')>();
  return { ...original, scrypt: vi.fn<typeof scrypt>(original.scrypt) };
});

const here = '192.0.2.1';

function account(
  username: string,
  password: string,
  more: Partial<ApiAccountOptions> = {},
): ApiAccountOptions {
  const bytes = scryptSync(password, 'saltsalt', 32, { N: 1024, r: 1, p: 1 });
  const hash = bytes.toString('base64').replace('=', '');
  const passwordHash = new Secret(`$scrypt$ln=10,r=1,p=1$c2FsdHNhbHQ$${hash}`);
  const domains = ['example.org'];
  return { username, passwordHash, domains, senders: ['*'], manage: false, ...more };
}

function setUp(accounts: readonly ApiAccountOptions[]) {
  const onFailure = vi.fn<(failure: LoginFailure) => void>();
  const throttle = createThrottle({ perAddress: 6, perUser: 3, windowMs: 60_000 });
  const options = { accounts, onFailure, throttle, cacheMs: 60_000, refusalStepMs: 1 };
  return { apiAccounts: createApiAccounts(options), onFailure };
}

function login(apiAccounts: ApiAccounts, username: string, password: string, address = here) {
  return apiAccounts.authenticate({ username, password }, 'example.org', address);
}

async function refusal(promise: Promise<ApiAccount>): Promise<GatewayError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof GatewayError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

describe('authenticate', () => {
  test('resolves with the account of correct credentials', async () => {
    const { apiAccounts, onFailure } = setUp([account('alerts', 'a:b'), account('ops', 'c')]);
    expect((await login(apiAccounts, 'alerts', 'a:b')).username).toBe('alerts');
    expect((await login(apiAccounts, 'ops', 'c')).username).toBe('ops');
    expect(onFailure).not.toHaveBeenCalled();
  });

  test('a name is the same in all its Unicode forms, but not in another case', async () => {
    const { apiAccounts } = setUp([account('caf\u00e9', 'x')]);
    expect((await login(apiAccounts, 'cafe\u0301', 'x')).username).toBe('caf\u00e9');
    expect((await refusal(login(apiAccounts, 'CAF\u00c9', 'x'))).code).toBe('unauthenticated');
  });

  test.each([
    ['alerts', 'wrong'],
    ['alerts', 'c'],
    ['ops', 'a'],
    ['nobody', 'a'],
    ['__proto__', 'a'],
    ['', 'a'],
  ])('refuses %j with %j in the same way', async (username, password) => {
    const { apiAccounts, onFailure } = setUp([account('alerts', 'a'), account('ops', 'c')]);
    const missing = await refusal(apiAccounts.authenticate('missing', 'example.org', here));
    const refused = await refusal(login(apiAccounts, username, password));
    expect(refused.code).toBe('unauthenticated');
    expect(refused.message).toBe(missing.message);
    expect(refused.options).toEqual({ realm: 'example.org' });
    expect(onFailure.mock.calls).toEqual([[{ address: here, user: username }]]);
  });

  test('without accounts nobody gets in', async () => {
    const { apiAccounts } = setUp([]);
    expect((await refusal(login(apiAccounts, 'alerts', 'a'))).code).toBe('unauthenticated');
  });

  test('an unknown name costs a check with the parameters of the accounts', async () => {
    const { apiAccounts } = setUp([account('alerts', '')]);
    const costs: unknown[] = [];
    for (const name of ['alerts', 'nobody']) {
      vi.mocked(scrypt).mockClear();
      await refusal(login(apiAccounts, name, 'x'));
      costs.push(vi.mocked(scrypt).mock.calls.map(([, , length, options]) => [length, options]));
    }
    expect(costs[0]).toEqual([[32, expect.objectContaining({ N: 1024, r: 1, p: 1 })]]);
    expect(costs[1]).toEqual(costs[0]);
  });

  test('is throttled by account and by address, except for remembered credentials', async () => {
    const { apiAccounts } = setUp([account('alerts', 'a'), account('ops', 'c')]);
    await login(apiAccounts, 'alerts', 'a');
    for (const password of ['x', 'y', 'z']) await refusal(login(apiAccounts, 'ops', password));
    const elsewhere = await refusal(login(apiAccounts, 'ops', 'c', '192.0.2.9'));
    expect(elsewhere.code).toBe('too-many-requests');
    for (let index = 0; index < 3; index += 1) {
      await refusal(apiAccounts.authenticate('malformed', 'example.org', here));
    }
    expect((await refusal(login(apiAccounts, 'new', 'x'))).code).toBe('too-many-requests');
    expect((await login(apiAccounts, 'alerts', 'a')).username).toBe('alerts');
  });
});

describe('authorize', () => {
  test.each([
    [{}, 'example.org', 'anybody', 'allowed'],
    [{}, 'example.net', 'anybody', 'domain-not-allowed'],
    [{ domains: ['example.net', 'example.org'] }, 'example.net', 'anybody', 'allowed'],
    [{ senders: ['bot-*', 'alerts'] }, 'example.org', 'bot-1', 'allowed'],
    [{ senders: ['bot-*', 'alerts'] }, 'example.org', 'alerts', 'allowed'],
    [{ senders: ['bot-*', 'alerts'] }, 'example.org', 'admin', 'sender-not-allowed'],
    [{ senders: ['bot-*'] }, 'example.net', 'admin', 'domain-not-allowed'],
  ])('%j, %s, %s: %s', async (scope, domain, localpart, expected) => {
    const { apiAccounts } = setUp([account('alerts', 'a', scope)]);
    const found = await login(apiAccounts, 'alerts', 'a');
    const authorize = async (): Promise<string> => {
      apiAccounts.authorize(found, domain, localpart);
      return 'allowed';
    };
    const outcome = await authorize().catch(({ code }: GatewayError) => code);
    expect(outcome).toBe(expected);
  });
});

describe('update', () => {
  test('adds, removes and rescopes accounts', async () => {
    const { apiAccounts } = setUp([account('alerts', 'a'), account('ops', 'c')]);
    await login(apiAccounts, 'alerts', 'a');
    await login(apiAccounts, 'ops', 'c');
    apiAccounts.update([account('alerts', 'a', { senders: ['bot'] }), account('new', 'n')]);
    expect((await login(apiAccounts, 'new', 'n')).username).toBe('new');
    expect((await refusal(login(apiAccounts, 'ops', 'c'))).code).toBe('unauthenticated');
    const alerts = await login(apiAccounts, 'alerts', 'a');
    expect(() => apiAccounts.authorize(alerts, 'example.org', 'admin')).toThrow(GatewayError);
  });

  test('forgets a remembered password if its hash changed', async () => {
    const { apiAccounts } = setUp([account('alerts', 'a')]);
    await login(apiAccounts, 'alerts', 'a');
    apiAccounts.update([account('alerts', 'b')]);
    expect((await refusal(login(apiAccounts, 'alerts', 'a'))).code).toBe('unauthenticated');
    expect((await login(apiAccounts, 'alerts', 'b')).username).toBe('alerts');
  });
});

describe('authorizeManagement', () => {
  test.each([
    [{ manage: false }, 'management-not-allowed'],
    [{ manage: true, domains: ['other.example'] }, 'domain-not-allowed'],
    [{ manage: true, senders: ['alice'] }, 'sender-not-allowed'],
  ])('%j: %s', async (scope, code) => {
    const { apiAccounts } = setUp([account('admin', 'x', scope)]);
    const found = await login(apiAccounts, 'admin', 'x');
    expect(() => apiAccounts.authorizeManagement(found, 'example.org', 'bob')).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test('is for those who may manage, within their scope', async () => {
    const { apiAccounts } = setUp([account('admin', 'x', { manage: true, senders: ['b*'] })]);
    const found = await login(apiAccounts, 'admin', 'x');
    expect(() => apiAccounts.authorizeManagement(found, 'example.org', 'bob')).not.toThrow();
  });
});
