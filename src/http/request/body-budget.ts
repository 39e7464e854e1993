import { bytesPerPiece } from '../response/refuse.ts';

/** A body that is being read. */
export interface BodyReading {
  /** Counts one more piece of it. */
  add(bytes: number): void;
  /** It was read, or is not wanted any more. */
  end(): void;
}

/** Bounds what is held of all bodies that are being read. */
export interface BodyBudget {
  /** Begins a reading for `caller`; `refuse` is called, once, when it has to end. */
  begin(caller: string, refuse: () => void): BodyReading;
}

interface Reading {
  readonly refuse: () => void;
  bytes: number;
}

interface Caller {
  readonly readings: Set<Reading>;
  bytes: number;
}

/** For 64 bodies of the largest size that is accepted by default. */
const defaultMaxBytes = 16 * 1024 * 1024;

/**
 * Creates the budget. Whatever goes beyond `maxBytes` is at the expense of the caller who holds
 * most: its newest reading ends, until the rest fits. So nobody is refused for what others hold.
 */
export function createBodyBudget(maxBytes = defaultMaxBytes): BodyBudget {
  const callers = new Map<string, Caller>();
  let total = 0;

  function isExceeded(): boolean {
    return total > maxBytes;
  }

  function findLargest(): Caller | undefined {
    let largest: Caller | undefined;
    for (const caller of callers.values()) {
      if (largest === undefined || caller.bytes > largest.bytes) largest = caller;
    }
    return largest;
  }

  function refuseSome(): void {
    while (isExceeded()) {
      const newest = [...(findLargest()?.readings ?? [])].findLast(({ bytes }) => bytes > 0);
      if (newest === undefined) return;
      newest.refuse();
    }
  }

  return {
    begin(name, refuse) {
      const caller = callers.get(name) ?? { readings: new Set(), bytes: 0 };
      callers.set(name, caller);
      const end = (): void => {
        if (!caller.readings.delete(reading)) return;
        caller.bytes -= reading.bytes;
        total -= reading.bytes;
        if (caller.readings.size === 0) callers.delete(name);
      };
      const reading: Reading = {
        bytes: 0,
        refuse: () => {
          end();
          refuse();
        },
      };
      caller.readings.add(reading);
      return {
        add(bytes) {
          if (!caller.readings.has(reading)) return;
          const cost = bytes + bytesPerPiece;
          reading.bytes += cost;
          caller.bytes += cost;
          total += cost;
          if (isExceeded()) refuseSome();
        },
        end,
      };
    },
  };
}
