/** Pseudo-random choices, the same for the same seed on every machine. */
export interface Random {
  /** An integer from 0 to `end` - 1. */
  int(end: number): number;
  /** True once in `times` calls on average. */
  oneIn(times: number): boolean;
  /** One of the items, which must not be empty. */
  pick<T>(items: readonly T[]): T;
}

/** Independent choices for each stream, so that no request depends on earlier ones. */
export function createRandom(seed: number, stream: number): Random {
  let state = mix(mix(seed) ^ stream);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    return mix(state) / 2 ** 32;
  };
  const int = (end: number): number => Math.floor(next() * end);
  return {
    int,
    oneIn: (times) => int(times) === 0,
    pick: (items) => {
      const item = items[int(items.length)];
      if (item === undefined) throw new Error('expected items to choose from');
      return item;
    },
  };
}

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
