import { LRUCache } from 'lru-cache';
import type { RedisConnection } from './redis.ts';

/** Values that are claimed first and settled later, by one process for all. */
export interface SharedClaims {
  /**
   * Resolves with undefined when the claim now stands at the key, for `ttlMs`, else with what stood
   * there before. Rejects when the store does not say; then the claim is withdrawn, if need be later.
   */
  claim(key: string, claim: string, ttlMs: number): Promise<string | undefined>;
  /**
   * Puts the value in the place of the claim, for `ttlMs`, or of nothing where the claim has expired;
   * undefined withdraws the claim. What the store does not take now, it gets when it takes it again.
   */
  settle(key: string, claim: string, value: string | undefined, ttlMs: number): Promise<void>;
}

interface Settlement {
  readonly key: string;
  readonly value: string | undefined;
  readonly ttlMs: number;
}

/** Most settlements that wait for the store, and how long; the oldest give way. */
const maxWaiting = 10_000;
const maxWaitingBytes = 16 * 1024 * 1024;
const maxWaitMs = 3_600_000;

const claimScript = `
local found = redis.call('get', KEYS[1])
if found then return found end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return nil`;

const settleScript = `
local found = redis.call('get', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('del', KEYS[1]) end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
return 1`;

/** Creates the claims of one process; `resume` has to be called whenever the store takes what is written. */
export function createSharedClaims(
  connection: Pick<RedisConnection, 'run' | 'failure'>,
): SharedClaims & { resume(): void } {
  // By claim, of which no two are equal: a claim that is withdrawn must not push out an answer.
  const waiting = new LRUCache<string, Settlement>({
    max: maxWaiting,
    maxSize: maxWaitingBytes,
    sizeCalculation: ({ value }) => 500 + (value?.length ?? 0),
    ttl: maxWaitMs,
    perf: performance,
  });

  const trySettling = async (claim: string, settlement: Settlement): Promise<void> => {
    const { key, value = '', ttlMs } = settlement;
    try {
      await connection.run((client) =>
        client.eval(settleScript, { keys: [key], arguments: [claim, value, String(ttlMs)] }),
      );
    } catch {
      waiting.set(claim, settlement);
    }
  };

  return {
    claim: async (key, claim, ttlMs) => {
      const wasWritten = connection.failure() === undefined;
      try {
        const found: unknown = await connection.run((client) =>
          client.eval(claimScript, { keys: [key], arguments: [claim, String(ttlMs)] }),
        );
        return typeof found === 'string' ? found : undefined;
      } catch (error) {
        // A Redis that hung may still execute it.
        if (wasWritten) waiting.set(claim, { key, value: undefined, ttlMs });
        throw error;
      }
    },
    settle: (key, claim, value, ttlMs) => trySettling(claim, { key, value, ttlMs }),
    resume: () => {
      const settlements = [...waiting.entries()];
      waiting.clear();
      for (const [claim, settlement] of settlements) void trySettling(claim, settlement);
    },
  };
}
