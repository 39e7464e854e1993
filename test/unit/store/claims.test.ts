import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { createStore, type Store } from '../../../src/store/store.ts';
import { type RedisServer, startRedis } from '../../support/system/redis.ts';
import { waitUntil } from '../../support/system/wait.ts';

const minuteMs = 60_000;

let redis: RedisServer;
let store: Store;
let claims: Store['claims'];

beforeAll(async () => {
  redis = await startRedis();
  store = createStore({ url: new Secret(redis.url) }, pino({ enabled: false }));
  ({ claims } = store);
  store.start();
  await untilUp();
});
afterAll(async () => {
  store?.stop();
  await redis?.stop();
});

async function untilUp(): Promise<void> {
  await waitUntil(() => store.failure() === undefined, { label: 'the connection' });
}

test('a key is claimed by one', async () => {
  const key = randomUUID();
  const tries = ['a', 'b', 'c'].map((claim) => claims.claim(key, claim, minuteMs));
  expect(await Promise.all(tries)).toEqual([undefined, 'a', 'a']);
});

test('a value replaces its claim', async () => {
  const key = randomUUID();
  await claims.claim(key, 'claim', minuteMs);
  await claims.settle(key, 'claim', 'value', minuteMs);
  expect(await claims.claim(key, 'other', minuteMs)).toBe('value');
  expect(await redis.command('PTTL', key)).toBeGreaterThan(minuteMs / 2);
});

test('a later value replaces an earlier one, and withdraws it', async () => {
  const key = randomUUID();
  await claims.claim(key, '{claim}', minuteMs);
  await claims.settle(key, '{claim', '{claim, value}', minuteMs);
  await claims.settle(key, '{claim', '{claim, later}', minuteMs);
  expect(await claims.claim(key, 'other', minuteMs)).toBe('{claim, later}');
  await claims.settle(key, '{claim', undefined, minuteMs);
  expect(await claims.claim(key, 'other', minuteMs)).toBeUndefined();
});

test('a withdrawn claim is free', async () => {
  const key = randomUUID();
  await claims.claim(key, 'claim', minuteMs);
  await claims.settle(key, 'claim', undefined, minuteMs);
  expect(await claims.claim(key, 'other', minuteMs)).toBeUndefined();
});

test('an expired claim is free and does not settle the next one', async () => {
  const key = randomUUID();
  await claims.claim(key, 'first', 1);
  await waitUntil(async () => (await redis.command('EXISTS', key)) === 0, { label: 'its end' });
  expect(await claims.claim(key, 'second', minuteMs)).toBeUndefined();
  await claims.settle(key, 'first', 'value', minuteMs);
  await claims.settle(key, 'first', undefined, minuteMs);
  expect(await redis.command('GET', key)).toBe('second');
});

test('a value is kept even if its claim has expired', async () => {
  const key = randomUUID();
  await claims.settle(key, 'expired', 'value', minuteMs);
  expect(await redis.command('GET', key)).toBe('value');
});

/** The client's error if the connection was given up while it was being opened again. */
const unanswered = /no answer|Disconnects client/;

test('what could not be settled is settled later, above all an answer', async () => {
  const key = randomUUID();
  await claims.claim(key, 'claim', minuteMs);
  redis.kill('SIGSTOP');
  try {
    const other = claims.claim(key, 'other', minuteMs);
    const settling = Promise.all([
      claims.settle(key, 'claim', 'claimed too early', minuteMs),
      claims.settle(key, 'claim', 'value', minuteMs),
    ]);
    await expect(other).rejects.toThrow(unanswered);
    await settling;
    await expect(claims.claim(key, 'third', minuteMs)).rejects.toThrow(unanswered);
  } finally {
    redis.kill('SIGCONT');
  }
  await waitUntil(async () => (await redis.command('GET', key)) === 'value', {
    label: 'the value',
  });
  await untilUp();
  expect(await redis.command('GET', key)).toBe('value');
});

test('what was refused once is settled later on the same connection', async () => {
  const key = randomUUID();
  await redis.command('LPUSH', key, 'of another type');
  await claims.settle(key, 'claim', 'value', minuteMs);
  await redis.command('DEL', key);
  await waitUntil(async () => (await redis.command('GET', key)) === 'value', {
    label: 'the value',
  });
});

test('a failed claim is withdrawn', async () => {
  const key = randomUUID();
  redis.kill('SIGSTOP');
  try {
    await expect(claims.claim(key, 'claim', minuteMs)).rejects.toThrow('no answer');
  } finally {
    redis.kill('SIGCONT');
  }
  await untilUp();
  await waitUntil(async () => (await redis.command('EXISTS', key)) === 0, { label: 'its end' });
});

test('counters count in windows that begin with the first', async () => {
  const { counters } = store;
  const [a, b] = [randomUUID(), randomUUID()];
  expect(await counters.read([a, b])).toMatchObject([{ count: 0 }, { count: 0 }]);
  await counters.add([a], minuteMs);
  const counted = await counters.add([a, b], 10 * minuteMs);
  expect(counted).toMatchObject([{ count: 2 }, { count: 1 }]);
  expect(counted?.[0]?.remainingMs).toBeLessThanOrEqual(minuteMs);
  expect(counted?.[1]?.remainingMs).toBeGreaterThan(minuteMs);
  expect(await counters.read([b, a])).toMatchObject([{ count: 1 }, { count: 2 }]);
});

test('counters resolve with undefined while the store is away', async () => {
  const { counters } = store;
  await redis.halt('SIGKILL');
  expect(await counters.read(['a'])).toBeUndefined();
  expect(await counters.add(['a'], minuteMs)).toBeUndefined();
  await redis.resume();
  await untilUp();
});
