import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCredentialCache, createLogin, type Login } from '../../../src/auth/login.ts';
import { createThrottle } from '../../../src/auth/throttle/throttle.ts';

beforeEach(() => void vi.mocked(delay).mockClear());

// Otherwise the modules that another file has loaded would go on with what is replaced here.
vi.hoisted(() => vi.resetModules());
vi.mock('node:timers/promises', () => ({ setTimeout: vi.fn<typeof delay>() }));

function createTestLogin(refusalStepMs: number): Login {
  const throttle = createThrottle({ perAddress: 10, perUser: 10, windowMs: 1000 });
  return createLogin({ cacheMs: 1000, throttle, refusalStepMs, onFailure: () => {} });
}

async function logIn(login: Login, check: () => Promise<boolean>): Promise<unknown> {
  const presented = { username: 'alice', password: 'x' };
  const subject = { principal: 'Alice', name: 'alice', identity: ['alice'], check };
  const attempt = { presented, realm: 'example.org', address: '192.0.2.1' };
  return login.authenticate(attempt, subject);
}

test.each([
  ['at once', 0, 60],
  ['within a step', 25, 35],
  ['after two steps', 130, 50],
])('a refusal whose check was done %s ends with a step', async (_, checkMs, pauseMs) => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const check = async (): Promise<boolean> => {
    vi.advanceTimersByTime(checkMs);
    return false;
  };
  await expect(logIn(createTestLogin(60), check)).rejects.toMatchObject({
    code: 'unauthenticated',
  });
  expect(vi.mocked(delay).mock.calls).toEqual([[pauseMs]]);
});

test('a success does not wait for a step', async () => {
  const login = logIn(createTestLogin(60), async () => true);
  await expect(login).resolves.toBe('Alice');
  expect(delay).not.toHaveBeenCalled();
});

describe('the credential cache', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    // lru-cache mistakes an entry that was made at 0 for one without a time.
    vi.advanceTimersByTime(1000);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  describe('keyOf', () => {
    test('keeps the parts apart', () => {
      const cache = createCredentialCache(1000);
      const parts = [['a', 'bc'], ['ab', 'c'], ['abc'], ['a', '', 'bc'], ['a","bc'], ['a\0bc']];
      expect(new Set(parts.map((each) => cache.keyOf(each))).size).toBe(parts.length);
      expect(cache.keyOf(['a', 'bc'])).toBe(cache.keyOf(['a', 'bc']));
    });

    test('differs between caches and shows nothing of the parts', () => {
      const keys = [1, 2].map(() => createCredentialCache(1000).keyOf(['alice', 'password']));
      expect(keys[0]).not.toBe(keys[1]);
      expect(keys[0]).toHaveLength(44);
    });
  });

  describe('resolve', () => {
    test('remembers a success for the given time, counted from the start of the check', async () => {
      const cache = createCredentialCache(1000);
      const check = vi.fn<() => Promise<boolean>>(async () => {
        vi.advanceTimersByTime(400);
        return true;
      });
      expect(await cache.resolve('k', check)).toBe(true);
      vi.advanceTimersByTime(500);
      expect(cache.known('k')).toBe(true);
      expect(cache.resolve('k', check)).toBe(true);
      expect(check).toHaveBeenCalledTimes(1);
      vi.advanceTimersByTime(200);
      expect(cache.known('k')).toBeUndefined();
    });

    test('forgets wrong answers and failures', async () => {
      const cache = createCredentialCache(1000);
      expect(await cache.resolve('k', async () => false)).toBe(false);
      await expect(cache.resolve('k', () => Promise.reject(new Error('down')))).rejects.toThrow(
        'down',
      );
      expect(cache.known('k')).toBeUndefined();
      expect(await cache.resolve('k', async () => true)).toBe(true);
    });

    test('joins a check under way, even if it fails', async () => {
      const cache = createCredentialCache(1000);
      const failures: ((error: Error) => void)[] = [];
      const check = vi.fn<() => Promise<boolean>>(
        () => new Promise((_, reject) => failures.push(reject)),
      );
      const answers = [1, 2, 3].map(async () => await cache.resolve('k', check));
      const other = cache.resolve('other', async () => true);
      for (const fail of failures) fail(new Error('down'));
      for (const answer of answers) await expect(answer).rejects.toThrow('down');
      expect(await other).toBe(true);
      expect(check).toHaveBeenCalledTimes(1);
    });

    test('remembers nothing for 0 ms', async () => {
      const cache = createCredentialCache(0);
      expect(await cache.resolve('k', async () => true)).toBe(true);
      expect(cache.known('k')).toBeUndefined();
    });

    test('is bounded', async () => {
      const cache = createCredentialCache(1000);
      for (let index = 0; index <= 10_000; index += 1) {
        await cache.resolve(String(index), async () => true);
      }
      expect(cache.known('0')).toBeUndefined();
      expect(cache.known('1')).toBe(true);
    });
  });
});
