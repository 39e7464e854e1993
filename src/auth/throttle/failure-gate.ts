import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';

/** Maximum number of keys counted at a time; the least recently used are dropped. */
const maxKeys = 50_000;

/** Maximum number of attempts per key that are reserved for addresses that were refused before. */
const maxReserved = 100;

/** Counts the failures of each key, and its attempts under way, which may become failures. */
export interface FailureGate {
  /**
   * Returns whether there is room for one more attempt from the address `from`. Throws GatewayError
   * `too-many-requests` if the failures alone have reached the limit; one attempt in the next window
   * is then reserved for `from`, so that no attacker can use up every window.
   */
  hasRoom(key: string, from: string): boolean;
  /** Begins an attempt. */
  enter(key: string, from: string): void;
  /** Ends an attempt; if it failed, call `fail` before. */
  leave(key: string): void;
  /** Resolves when an attempt ends. */
  nextLeave(key: string): Promise<void>;
  fail(key: string): void;
  /** Takes over a count of other processes if it is higher, for as long as their window lasts. */
  learn(key: string, count: number, remainingMs: number): void;
}

interface Attempts {
  count: number;
  readonly waiting: (() => void)[];
}

/**
 * Creates a gate that allows `limit` failures in the `windowMs` that begin with the first; `whose`
 * says in the refusal what they have in common.
 */
export function createFailureGate(limit: number, windowMs: number, whose: string): FailureGate {
  const failures = new LRUCache<string, { count: number }>({
    // Not as `max`, for which the cache allocates all its memory at once.
    maxSize: maxKeys,
    sizeCalculation: () => 1,
    ttl: windowMs,
    perf: performance,
  });
  const attempts = new Map<string, Attempts>();
  // A reservation lasts for the rest of this window and for the next.
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
      // Wake all of them, in order: a single one might find another gate full and waste this place.
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

/** Maximum number of keys with reservations. */
const maxReservedKeys = 10_000;

/** A window in which failures are counted. Compared by identity: two may start in the same clock tick. */
export type FailureWindow = object;

/** Attempts reserved, in the next window, for addresses that were refused in this one. */
export interface ReservedAttempts {
  /** How many attempts on `key` are reserved in this window for addresses other than `from`. */
  countForOthers(key: string, from: string, window: FailureWindow | undefined): number;
  /** Reserves an attempt for `from` in the next window, unless enough are reserved already. */
  reserve(key: string, from: string, window: FailureWindow): void;
  /** `from` makes an attempt and so uses up its reservation. */
  take(key: string, from: string): void;
}

interface Reservation {
  readonly madeIn: FailureWindow;
  readonly until: number;
}

/** Creates the reservations: at most `most` per key and window, each kept for `keptMs`. */
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
