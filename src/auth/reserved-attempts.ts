import { LRUCache } from 'lru-cache';

/** Most keys of which something is reserved at once. */
const maxKeys = 10_000;

/** Attempts on a key that are kept, for a while to come, for those who were refused one. */
export interface ReservedAttempts {
  /** How many attempts on `key` are now kept for others than `from`. */
  countForOthers(key: string, from: string): number;
  /** Keeps one for `from` that begins to count in `startsInMs`, unless enough are kept already. */
  reserve(key: string, from: string, startsInMs: number): void;
  /** `from` makes its attempt; what was kept for it is used up. */
  take(key: string, from: string): void;
}

/** Creates the reservations: at most `most` to come for each key, each for `keptMs`. */
export function createReservedAttempts(most: number, keptMs: number): ReservedAttempts {
  // Who holds a reservation of a key, and when it begins to count.
  const reserved = new LRUCache<string, Map<string, number>>({ max: maxKeys });

  return {
    countForOthers(key, from) {
      const holders = reserved.get(key);
      if (holders === undefined) return 0;
      const now = performance.now();
      let count = 0;
      for (const [holder, startsAt] of holders) {
        if (startsAt + keptMs <= now) holders.delete(holder);
        else if (startsAt <= now && holder !== from) count += 1;
      }
      return count;
    },
    reserve(key, from, startsInMs) {
      const holders = reserved.get(key) ?? new Map<string, number>();
      const now = performance.now();
      const toCome = [...holders.values()].filter((startsAt) => startsAt > now).length;
      if (toCome >= most) return;
      holders.set(from, now + startsInMs);
      reserved.set(key, holders);
    },
    take: (key, from) => void reserved.get(key)?.delete(from),
  };
}
