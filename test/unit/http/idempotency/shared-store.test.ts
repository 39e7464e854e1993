import { beforeEach, describe, expect, test } from 'vitest';
import { useKey } from '../../../../src/http/idempotency/answer-once.ts';
import { createSharedAnswerStore } from '../../../../src/http/idempotency/shared-store.ts';
import type { SharedClaims } from '../../../../src/store/claims.ts';

const key = { caller: 'account alerts', key: '1' };
const answer = { status: 200, code: 'ok', contentType: 'application/json', body: '{}' };
const refusal = (code: string) => expect.objectContaining({ code });

let values: Map<string, string>;
let isAway: boolean;

const claims: SharedClaims = {
  claim: async (at, claim) => {
    if (isAway) throw new Error('away');
    const found = values.get(at);
    if (found === undefined) values.set(at, claim);
    return found;
  },
  settle: async (at, mark, value) => {
    if (values.get(at)?.startsWith(mark) !== true) return;
    if (value === undefined) values.delete(at);
    else values.set(at, value);
  },
};

beforeEach(() => {
  values = new Map();
  isAway = false;
});

describe('the answer to a key', () => {
  test('is replayed by another process', async () => {
    const [one, two] = [createSharedAnswerStore(claims, 1), createSharedAnswerStore(claims, 1)];
    expect(await one.begin(useKey(key, ['a']))).toBeUndefined();
    await expect(two.begin(useKey(key, ['a']))).rejects.toEqual(refusal('idempotency-in-progress'));
    await expect(two.begin(useKey(key, ['b']))).rejects.toEqual(refusal('idempotency-mismatch'));
    await one.finish(key, answer);
    expect(await two.begin(useKey(key, ['a']))).toEqual(answer);
    await expect(two.begin(useKey(key, ['b']))).rejects.toEqual(refusal('idempotency-mismatch'));
    expect(
      await two.begin(useKey({ ...key, caller: 'user bot@example.org' }, ['b'])),
    ).toBeUndefined();
  });

  test('is replaced for all processes when more is known', async () => {
    const [one, two] = [createSharedAnswerStore(claims, 1), createSharedAnswerStore(claims, 1)];
    await one.begin(useKey(key, ['a']));
    const amend = await one.finish(key, answer);
    expect(await two.begin(useKey(key, ['a']))).toEqual(answer);
    for (const more of [1, 2]) {
      await amend({ ...answer, body: `{"more": ${more}}` });
      expect(await two.begin(useKey(key, ['a']))).toEqual({ ...answer, body: `{"more": ${more}}` });
    }
    await expect(two.begin(useKey(key, ['b']))).rejects.toEqual(refusal('idempotency-mismatch'));
    await amend(undefined);
    expect(await two.begin(useKey(key, ['b']))).toBeUndefined();
  });

  test('is forgotten if there was none to keep', async () => {
    const store = createSharedAnswerStore(claims, 1);
    await store.begin(useKey(key, ['a']));
    await store.finish(key, undefined);
    expect(await store.begin(useKey(key, ['another']))).toBeUndefined();
  });

  test('is stored without key, caller and payload', async () => {
    const store = createSharedAnswerStore(claims, 1);
    await store.begin(useKey({ caller: 'account alerts', key: 'k-1' }, ['text', 'of a message']));
    expect(JSON.stringify([...values])).not.toMatch(/alerts|k-1|text|message"/);
  });

  test('identifies its payload only together with its key', async () => {
    const store = createSharedAnswerStore(claims, 1);
    for (const name of ['1', '2']) await store.begin(useKey({ ...key, key: name }, ['1234']));
    const payloads = [...values.values()].map((value) => JSON.parse(value).payload);
    expect(new Set(payloads).size).toBe(2);
  });
});

test.each([
  ['is away', () => (isAway = true)],
  ['holds something else', () => values.set(nameOf(), 'not JSON')],
  ['holds something like it', () => values.set(nameOf(), '{"payload": 1}')],
])('a store that %s is unavailable', async (_, prepare) => {
  const store = createSharedAnswerStore(claims, 1);
  prepare();
  await expect(store.begin(useKey(key, ['a']))).rejects.toEqual(refusal('store-unavailable'));
});

/** Where the answer to `key` is kept. */
function nameOf(): string {
  const at: string[] = [];
  const probe: SharedClaims = {
    ...claims,
    claim: (name) => {
      at.push(name);
      return Promise.resolve(undefined);
    },
  };
  void createSharedAnswerStore(probe, 1).begin(useKey(key, []));
  return at[0] ?? '';
}
