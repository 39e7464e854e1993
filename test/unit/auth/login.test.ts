import { expect, test } from 'vitest';
import { createLogin, type Login } from '../../../src/auth/login.ts';
import { createThrottle } from '../../../src/auth/throttle/throttle.ts';

function createTestLogin(refusalStepMs: number): Login {
  const throttle = createThrottle({ perAddress: 10, perUser: 10, windowMs: 1000 });
  return createLogin({ cacheMs: 1000, throttle, refusalStepMs, onFailure: () => {} });
}

function logIn(login: Login, isRight: boolean): Promise<unknown> {
  const presented = { username: 'alice', password: 'x' };
  const subject = { name: 'alice', identity: ['alice'], check: async () => isRight };
  const attempt = { presented, realm: 'example.org', address: '192.0.2.1' };
  return login.authenticate(attempt, () => subject);
}

test('a refusal takes one step, though its check was done at once', async () => {
  const startedMs = performance.now();
  await expect(logIn(createTestLogin(60), false)).rejects.toMatchObject({
    code: 'unauthenticated',
  });
  // Timers of Node.js may be a millisecond early.
  expect(performance.now() - startedMs).toBeGreaterThan(58);
});

test('a success does not wait for a step', async () => {
  await expect(logIn(createTestLogin(2 ** 30), true)).resolves.toMatchObject({ name: 'alice' });
});
