import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  addressKey,
  createThrottle,
  type Throttle,
} from '../../../../src/auth/throttle/throttle.ts';
import { GatewayError } from '../../../../src/core/errors.ts';
import type { SharedCounters } from '../../../../src/store/counters.ts';

beforeEach(() => {
  vi.useFakeTimers();
  // lru-cache mistakes an entry that was made at 0 for one without a time.
  vi.advanceTimersByTime(1000);
});
afterEach(() => {
  vi.useRealTimers();
});

const limits = { perAddress: 5, perUser: 3, windowMs: 60_000 };
const wrong = async (): Promise<boolean> => false;
const right = async (): Promise<boolean> => true;
const down = (): Promise<boolean> => Promise.reject(new Error('down'));
const slow = async (): Promise<boolean> => {
  await new Promise((resolve) => setTimeout(resolve, 10_001));
  return true;
};

async function outcome(attempt: Promise<boolean>): Promise<string> {
  try {
    return (await attempt) ? 'right' : 'wrong';
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return `${error.code} ${error.options.retryAfterSeconds}`;
  }
}

async function failTimes(throttle: Throttle, times: number, address: string, user?: string) {
  for (let index = 0; index < times; index += 1) {
    expect(await outcome(throttle.attempt(address, user ?? `u${index}`, wrong))).toBe('wrong');
  }
}

describe('failures', () => {
  test('are limited by user, from all addresses together', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 2, '192.0.2.1', 'alice');
    await failTimes(throttle, 1, '192.0.2.2', 'alice');
    const check = vi.fn<() => Promise<boolean>>(right);
    expect(await outcome(throttle.attempt('192.0.2.3', 'alice', check))).toBe(
      'too-many-requests 60',
    );
    expect(check).not.toHaveBeenCalled();
    expect(await outcome(throttle.attempt('192.0.2.1', 'bob', right))).toBe('right');
  });

  test('are limited by address, for all users together', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 5, '192.0.2.1');
    expect(await outcome(throttle.attempt('192.0.2.1', 'zoe', right))).toBe('too-many-requests 60');
    expect(await outcome(throttle.attempt('192.0.2.2', 'zoe', right))).toBe('right');
  });

  test('are counted by /64 in IPv6', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 5, '2001:db8::1');
    expect(await outcome(throttle.attempt('2001:db8::2', 'zoe', right))).toMatch('too-many');
    expect(await outcome(throttle.attempt('2001:db8:0:1::2', 'zoe', right))).toBe('right');
  });

  test('without a check count by address', async () => {
    const throttle = createThrottle(limits);
    for (let index = 0; index < 5; index += 1) throttle.fail('192.0.2.1');
    expect(await outcome(throttle.attempt('192.0.2.1', 'zoe', right))).toMatch('too-many');
  });

  test('are forgotten when the window that began with the first ends', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 1, '192.0.2.1', 'alice');
    vi.advanceTimersByTime(40_500);
    await failTimes(throttle, 2, '192.0.2.1', 'alice');
    expect(await outcome(throttle.attempt('192.0.2.1', 'alice', right))).toBe(
      'too-many-requests 20',
    );
    vi.advanceTimersByTime(19_600);
    expect(await outcome(throttle.attempt('192.0.2.1', 'alice', right))).toBe('right');
  });

  test('that were refused do not count', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 3, '192.0.2.1', 'alice');
    for (let index = 0; index < 10; index += 1) {
      expect(await outcome(throttle.attempt('192.0.2.1', 'alice', wrong))).toMatch('too-many');
    }
    expect(await outcome(throttle.attempt('192.0.2.1', 'bob', right))).toBe('right');
  });

  test('are neither successes nor errors', async () => {
    const throttle = createThrottle(limits);
    for (let index = 0; index < 20; index += 1) {
      expect(await outcome(throttle.attempt('192.0.2.1', 'alice', right))).toBe('right');
      await expect(throttle.attempt('192.0.2.1', 'alice', down)).rejects.toThrow('down');
    }
  });

  test('of others do not lock a user out at a known address', async () => {
    const throttle = createThrottle(limits);
    await throttle.attempt('192.0.2.1', 'alice', right);
    await failTimes(throttle, 3, '203.0.113.1', 'alice');
    expect(await outcome(throttle.attempt('203.0.113.2', 'alice', right))).toMatch('too-many');
    expect(await outcome(throttle.attempt('192.0.2.1', 'alice', right))).toBe('right');
    // The limit by address still applies there.
    await failTimes(throttle, 5, '192.0.2.1', 'alice');
    expect(await outcome(throttle.attempt('192.0.2.1', 'alice', right))).toMatch('too-many');
  });
});

describe('an attacker who uses up all failures of a user', () => {
  const attacker = '203.0.113.1';
  const home = '192.0.2.1';
  const nextWindow = (): void => void vi.advanceTimersByTime(60_001);

  test('locks the user out elsewhere for one window only', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 3, attacker, 'alice');
    expect(await outcome(throttle.attempt(home, 'alice', right))).toBe('too-many-requests 60');
    nextWindow();
    await failTimes(throttle, 2, attacker, 'alice');
    expect(await outcome(throttle.attempt(attacker, 'alice', wrong))).toMatch('too-many');
    expect(await outcome(throttle.attempt(home, 'alice', right))).toBe('right');
  });

  test('shares the same number of failures with the user', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 3, attacker, 'alice');
    await outcome(throttle.attempt(home, 'alice', right));
    nextWindow();
    const check = vi.fn<() => Promise<boolean>>(wrong);
    for (const address of [attacker, home, attacker, attacker, '192.0.2.9']) {
      await outcome(throttle.attempt(address, 'alice', check));
    }
    expect(check).toHaveBeenCalledTimes(3);
  });

  test('has all of them again if nobody else wants one', async () => {
    const throttle = createThrottle(limits);
    for (let round = 0; round < 3; round += 1) {
      await failTimes(throttle, 3, attacker, 'alice');
      expect(await outcome(throttle.attempt(attacker, 'alice', wrong))).toMatch('too-many');
      nextWindow();
    }
  });

  test('keeps one of them even if many want one', async () => {
    const throttle = createThrottle(limits);
    await failTimes(throttle, 3, attacker, 'alice');
    for (let index = 0; index < 9; index += 1) {
      await outcome(throttle.attempt(`192.0.2.${index}`, 'alice', wrong));
    }
    nextWindow();
    await failTimes(throttle, 1, attacker, 'alice');
  });
});

describe('concurrent attempts', () => {
  test('gain nothing by racing', async () => {
    const throttle = createThrottle(limits);
    const check = vi.fn<() => Promise<boolean>>(wrong);
    const attempts = Array.from({ length: 1000 }, async (_, index) =>
      outcome(throttle.attempt('192.0.2.1', `u${index}`, check)),
    );
    const outcomes = await Promise.all(attempts);
    expect(check).toHaveBeenCalledTimes(5);
    expect(outcomes.filter((text) => text === 'wrong')).toHaveLength(5);
    expect(outcomes.filter((text) => text.startsWith('too-many'))).toHaveLength(995);
  });

  test('gain nothing by racing from many addresses', async () => {
    const throttle = createThrottle(limits);
    const check = vi.fn<() => Promise<boolean>>(wrong);
    const attempts = Array.from({ length: 200 }, async (_, index) =>
      outcome(throttle.attempt(`192.0.2.${index}`, 'alice', check)),
    );
    await Promise.all(attempts);
    expect(check).toHaveBeenCalledTimes(3);
  });

  test('wait for one another, but not too many of them', async () => {
    const throttle = createThrottle(limits);
    const check = vi.fn<() => Promise<boolean>>(slow);
    const attempts = Array.from({ length: 1010 }, async (_, index) =>
      outcome(throttle.attempt('192.0.2.1', `u${index}`, check)),
    );
    expect(await Promise.all(attempts.slice(-5))).toEqual(
      Array(5).fill('authentication-unavailable 1'),
    );
    expect(check).toHaveBeenCalledTimes(5);
  });

  test('all get through if they are right, however many there are', async () => {
    const throttle = createThrottle(limits);
    const users = Array.from({ length: 100 }, (_, index) => `u${index}`);
    const outcomes = await Promise.all(
      users.map(async (user) => outcome(throttle.attempt('192.0.2.1', user, right))),
    );
    expect(new Set(outcomes)).toEqual(new Set(['right']));
  });

  test('do not wait forever for slow ones', async () => {
    const throttle = createThrottle(limits);
    const attempts = Array.from({ length: 12 }, async (_, index) =>
      outcome(throttle.attempt('192.0.2.1', `u${index}`, slow)),
    );
    await vi.advanceTimersByTimeAsync(10_001);
    await vi.advanceTimersByTimeAsync(10_001);
    const outcomes = await Promise.all(attempts);
    expect(outcomes.slice(0, 5)).toEqual(Array(5).fill('right'));
    expect(outcomes.slice(-2)).toEqual(Array(2).fill('authentication-unavailable 1'));
  });
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:192.0.2.1', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ['', ''],
])('%s counts as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

const home = '192.0.2.1';
const refused = expect.objectContaining({ code: 'too-many-requests' });

/** Counts like a store whose windows all end at the same time. */
function createFailures(): SharedCounters & { isAway: boolean; remainingMs: number } {
  const counts = new Map<string, number>();
  const read: SharedCounters['read'] = async (keys) =>
    failures.isAway
      ? undefined
      : keys.map((key) => ({
          count: counts.get(key) ?? 0,
          remainingMs: failures.remainingMs,
        }));
  const failures = {
    isAway: false,
    remainingMs: limits.windowMs,
    read,
    add: async (keys: readonly string[]) => {
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
      return read(keys);
    },
  };
  return failures;
}

describe('failures in other processes', () => {
  test('count here, by user and by address', async () => {
    const failures = createFailures();
    const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
    await one.attempt(home, 'alice', wrong);
    await two.attempt(home, 'alice', wrong);
    await one.attempt(home, 'alice', wrong);
    await expect(two.attempt('192.0.2.9', 'alice', right)).rejects.toEqual(refused);
    one.fail(home);
    one.fail(home);
    await expect(two.attempt(home, 'bob', right)).rejects.toEqual(refused);
    expect(await two.attempt('192.0.2.9', 'bob', right)).toBe(true);
  });

  test('count for as long as they do elsewhere', async () => {
    const failures = createFailures();
    const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
    for (let index = 0; index < 3; index += 1)
      await one.attempt(`192.0.2.${index}`, 'alice', wrong);
    failures.remainingMs = 2000;
    await expect(two.attempt(home, 'alice', right)).rejects.toMatchObject({
      options: { retryAfterSeconds: 2 },
    });
    failures.isAway = true;
    vi.advanceTimersByTime(2001);
    expect(await two.attempt(home, 'alice', right)).toBe(true);
  });

  test('are counted by each process alone while the store is away', async () => {
    const failures = createFailures();
    failures.isAway = true;
    const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
    for (let index = 0; index < 3; index += 1) await one.attempt(home, 'alice', wrong);
    await expect(one.attempt(home, 'alice', right)).rejects.toEqual(refused);
    expect(await two.attempt(home, 'alice', right)).toBe(true);
  });

  test('do not lock out a user who has logged in from here before', async () => {
    const failures = createFailures();
    const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
    await two.attempt(home, 'alice', right);
    for (let index = 0; index < 3; index += 1) await one.attempt('203.0.113.1', 'alice', wrong);
    expect(await two.attempt(home, 'alice', right)).toBe(true);
  });
});
