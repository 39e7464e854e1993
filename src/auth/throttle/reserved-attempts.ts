import { LRUCache } from 'lru-cache';

/** Most keys of which something is reserved at once. */
const maxKeys = 10_000;

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
  const reserved = new LRUCache<string, Map<string, Reservation>>({ max: maxKeys });

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
