import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { createLogin, type Login } from '../../../src/auth/login.ts';
import { createThrottle } from '../../../src/auth/throttle/throttle.ts';

beforeEach(() => void vi.mocked(delay).mockClear());

vi.mock('node:timers/promises', () => ({ setTimeout: vi.fn<typeof delay>() }));

function createTestLogin(refusalStepMs: number): Login {
  const throttle = createThrottle({ perAddress: 10, perUser: 10, windowMs: 1000 });
  return createLogin({ cacheMs: 1000, throttle, refusalStepMs, onFailure: () => {} });
}

function logIn(login: Login, check: () => Promise<boolean>): Promise<unknown> {
  const presented = { username: 'alice', password: 'x' };
  const subject = { name: 'alice', identity: ['alice'], check };
  const attempt = { presented, realm: 'example.org', address: '192.0.2.1' };
  return login.authenticate(attempt, () => subject);
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
  await expect(login).resolves.toMatchObject({ name: 'alice' });
  expect(delay).not.toHaveBeenCalled();
});
