import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';

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

/** Most keys of which something is reserved at once. */
const maxReservedKeys = 10_000;

/** One window in which failures are counted; told apart by identity, as clocks cannot to the tick. */
export type FailureWindow = object;

/** Attempts on a key that are kept, in the next window, for those who were refused one in this. */
export interface ReservedAttempts {
  /** How many attempts on `key` are kept in this window for others than `from`. */
  countForOthers(key: string, from: string, window: FailureWindow | undefined): number;
  /** Keeps one for `from` in the window after this, unless enough are kept already. */
  reserve(key: string, from: string, window: FailureWindow): void;
  /** `from` makes its attempt; what was kept for it is used up. */
  take(key: string, from: string): void;
}

interface Reservation {
  readonly madeIn: FailureWindow;
  readonly until: number;
}

/** Creates the reservations: at most `most` of each key in a window, each kept for `keptMs`. */
export function createReservedAttempts(most: number, keptMs: number): ReservedAttempts {
  const reserved = new LRUCache<string, Map<string, Reservation>>({ max: maxReservedKeys });

  return {
    countForOthers(key, from, window) {
      const holders = reserved.get(key);
      if (holders === undefined) return 0;
      let count = 0;
      for (const [holder, { madeIn, until }] of holders) {
        if (until <= performance.now()) holders.delete(holder);
        else if (madeIn !== window && holder !== from) count += 1;
      }
      return Math.min(count, most);
    },
    reserve(key, from, window) {
      const holders = reserved.get(key) ?? new Map<string, Reservation>();
      const made = [...holders.values()].filter(({ madeIn }) => madeIn === window).length;
      if (made >= most) return;
      holders.set(from, { madeIn: window, until: performance.now() + keptMs });
      reserved.set(key, holders);
    },
    take: (key, from) => void reserved.get(key)?.delete(from),
  };
}
