import { LRUCache } from 'lru-cache';
import type { RedisConnection } from './redis.ts';

/** Values that one process claims first and settles later, on behalf of all processes. */
export interface SharedClaims {
  /**
   * Stores the claim under the key for `ttlMs` and resolves with undefined; if the key has a value
   * already, resolves with that. Rejects if the store does not answer; the claim is then withdrawn as
   * soon as the store can be reached.
   */
  claim(key: string, claim: string, ttlMs: number): Promise<string | undefined>;
  /**
   * Replaces the claim, or the value of an earlier settlement, by the value, for `ttlMs`, even if it has
   * expired; undefined withdraws it. They are recognised by `mark`, which they begin with. Never
   * rejects: while the store is unreachable, the latest settlement waits for it.
   */
  settle(key: string, mark: string, value: string | undefined, ttlMs: number): Promise<void>;
}

interface Settlement {
  readonly key: string;
  readonly value: string | undefined;
  readonly ttlMs: number;
}

/** Maximum number, size and age of the settlements that wait for the store; the oldest are dropped. */
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
if found and string.sub(found, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('del', KEYS[1]) end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
return 1`;

/** Creates the claims of one process; call `resume` whenever the store has just accepted a write. */
export function createSharedClaims(
  connection: Pick<RedisConnection, 'run' | 'failure'>,
): SharedClaims & { resume(): void } {
  // Keyed by claim or mark, which are unique: withdrawing one must not push out the answer of another.
  const waiting = new LRUCache<string, Settlement>({
    max: maxWaiting,
    maxSize: maxWaitingBytes,
    sizeCalculation: ({ value }) => 500 + (value?.length ?? 0),
    ttl: maxWaitMs,
    perf: performance,
  });

  const trySettling = async (mark: string, settlement: Settlement): Promise<void> => {
    const { key, value = '', ttlMs } = settlement;
    try {
      await connection.run((client) =>
        client.eval(settleScript, { keys: [key], arguments: [mark, value, String(ttlMs)] }),
      );
    } catch {
      waiting.set(mark, settlement);
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
        // A Redis that hung may still execute the command.
        if (wasWritten) waiting.set(claim, { key, value: undefined, ttlMs });
        throw error;
      }
    },
    settle: (key, mark, value, ttlMs) => trySettling(mark, { key, value, ttlMs }),
    resume: () => {
      const settlements = [...waiting.entries()];
      waiting.clear();
      for (const [mark, settlement] of settlements) void trySettling(mark, settlement);
    },
  };
}
