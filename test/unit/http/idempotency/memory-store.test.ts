import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { useKey } from '../../../../src/http/idempotency/answer-once.ts';
import { createAnswerStore } from '../../../../src/http/idempotency/memory-store.ts';

const key = { caller: 'account alerts', key: '1' };
const answer = { status: 200, code: 'ok', contentType: 'application/json', body: '{}' };
const inProgress = expect.objectContaining({ code: 'idempotency-in-progress' });
const mismatch = expect.objectContaining({ code: 'idempotency-mismatch' });

beforeEach(() => {
  vi.useFakeTimers();
  // lru-cache mistakes an entry that was made at 0 for one without a time.
  vi.advanceTimersByTime(1);
});
afterEach(() => vi.useRealTimers());

describe('the answer to a key', () => {
  test('is replayed', async () => {
    const store = createAnswerStore();
    expect(await store.begin(useKey(key, ['a']))).toBeUndefined();
    await store.finish(key, answer);
    expect(await store.begin(useKey(key, ['a']))).toEqual(answer);
  });

  test('is replaced when more is known', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['a']));
    const amend = await store.finish(key, answer);
    await amend({ ...answer, body: '{"more": 1}' });
    await amend({ ...answer, body: '{"more": 2}' });
    expect(await store.begin(useKey(key, ['a']))).toMatchObject({ body: '{"more": 2}' });
    await expect(store.begin(useKey(key, ['b']))).rejects.toEqual(mismatch);
    await amend(undefined);
    expect(await store.begin(useKey(key, ['b']))).toBeUndefined();
  });

  test('is for the same caller only', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['a']));
    await store.finish(key, answer);
    expect(
      await store.begin(useKey({ ...key, caller: 'user bot@example.org' }, ['b'])),
    ).toBeUndefined();
  });

  test('is missing while the first request is in progress', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['a']));
    await expect(store.begin(useKey(key, ['a']))).rejects.toEqual(inProgress);
  });

  test('is for the same payload only, in progress or answered', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['ab', 'c']));
    await expect(store.begin(useKey(key, ['a', 'bc']))).rejects.toEqual(mismatch);
    await store.finish(key, answer);
    await expect(store.begin(useKey(key, ['ab', Buffer.from('d')]))).rejects.toEqual(mismatch);
    expect(await store.begin(useKey(key, ['ab', Buffer.from('c')]))).toEqual(answer);
  });

  test('is forgotten if there was none to keep', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['a']));
    await store.finish(key, undefined);
    expect(await store.begin(useKey(key, ['another']))).toBeUndefined();
  });

  test('is kept for 24 hours', async () => {
    const store = createAnswerStore();
    await store.begin(useKey(key, ['a']));
    await store.finish(key, answer);
    vi.advanceTimersByTime(24 * 3600 * 1000 - 1);
    expect(await store.begin(useKey(key, ['a']))).toEqual(answer);
    vi.advanceTimersByTime(2);
    expect(await store.begin(useKey(key, ['a']))).toBeUndefined();
  });
});
