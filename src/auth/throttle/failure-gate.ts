import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';
import { createReservedAttempts } from './reserved-attempts.ts';

/** Most keys counted at once; those that failed longest ago give way. */
const maxKeys = 50_000;

/** Most of a key's failures that are kept for those who were refused before. */
const maxReserved = 100;

/** Counts failures by key, and the attempts under way, each of which may become one. */
export interface FailureGate {
  /**
   * Is there room for one more attempt, made from the place `from`? Throws GatewayError
   * `too-many-requests` when the failures alone have reached the limit; in the next window one
   * attempt is then kept for `from`, so that nobody can use up all of them for ever.
   */
  hasRoom(key: string, from: string): boolean;
  /** Begins an attempt. */
  enter(key: string, from: string): void;
  /** Ends an attempt; a failure has to be counted before. */
  leave(key: string): void;
  /** Resolves when an attempt ends. */
  nextLeave(key: string): Promise<void>;
  fail(key: string): void;
  /** Takes over what others have counted, where it is more, for as long as it counts there. */
  learn(key: string, count: number, remainingMs: number): void;
}

interface Attempts {
  count: number;
  readonly waiting: (() => void)[];
}

/** Creates a gate that allows `limit` failures in the `windowMs` after the first; `whose` names them in the refusal. */
export function createFailureGate(limit: number, windowMs: number, whose: string): FailureGate {
  const failures = new LRUCache<string, { count: number }>({
    // Not as `max`, for which the cache takes its memory at once.
    maxSize: maxKeys,
    sizeCalculation: () => 1,
    ttl: windowMs,
    perf: performance,
  });
  const attempts = new Map<string, Attempts>();
  // What is left of this window, and the next.
  const reserved = createReservedAttempts(Math.min(limit - 1, maxReserved), 2 * windowMs);
  const refuse = (key: string): GatewayError => {
    const seconds = Math.max(1, Math.ceil(failures.getRemainingTTL(key) / 1000));
    const detail = `Too many failed logins ${whose}: try again in ${seconds} s.`;
    return new GatewayError('too-many-requests', detail, { retryAfterSeconds: seconds });
  };

  return {
    hasRoom(key, from) {
      const window = failures.get(key);
      const failed = window?.count ?? 0;
      const allowed = limit - reserved.countForOthers(key, from, window);
      if (window !== undefined && failed >= allowed) {
        reserved.reserve(key, from, window);
        throw refuse(key);
      }
      return failed + (attempts.get(key)?.count ?? 0) < allowed;
    },
    enter(key, from) {
      reserved.take(key, from);
      const here = attempts.get(key);
      if (here === undefined) attempts.set(key, { count: 1, waiting: [] });
      else here.count += 1;
    },
    leave(key) {
      const here = attempts.get(key);
      if (here === undefined) return;
      here.count -= 1;
      if (here.count === 0) attempts.delete(key);
      // All of them, in order: one alone might find another gate full and leave this place empty.
      for (const wake of here.waiting.splice(0)) wake();
    },
    nextLeave: (key) =>
      new Promise((resolve) => {
        const here = attempts.get(key);
        if (here === undefined) resolve();
        else here.waiting.push(resolve);
      }),
    fail(key) {
      const failed = failures.get(key);
      if (failed === undefined) failures.set(key, { count: 1 });
      else failed.count += 1;
    },
    learn(key, count, remainingMs) {
      if (count <= (failures.get(key)?.count ?? 0) || remainingMs <= 0) return;
      failures.set(key, { count }, { ttl: remainingMs });
    },
  };
}
