import type { RedisConnection } from './redis.ts';

/** The count of a window, and how long that window still lasts. */
export interface SharedCount {
  readonly count: number;
  readonly remainingMs: number;
}

/** Counters in fixed windows that all processes share; `undefined` while the store is unreachable. */
export interface SharedCounters {
  read(keys: readonly string[]): Promise<readonly SharedCount[] | undefined>;
  /** Adds one to each key, and resolves as `read`; the first one begins a window of `windowMs`. */
  add(keys: readonly string[], windowMs: number): Promise<readonly SharedCount[] | undefined>;
}

const readScript = `
local found = {}
for _, key in ipairs(KEYS) do
  found[#found + 1] = tonumber(redis.call('get', key) or 0)
  found[#found + 1] = redis.call('pttl', key)
end
return found`;

const addScript = `
for _, key in ipairs(KEYS) do
  if redis.call('incr', key) == 1 then redis.call('pexpire', key, ARGV[1]) end
end
${readScript}`;

/** Creates the counters of one process. */
export function createSharedCounters(connection: Pick<RedisConnection, 'run'>): SharedCounters {
  const ask = async (
    script: string,
    keys: readonly string[],
    args: string[],
  ): Promise<readonly SharedCount[] | undefined> => {
    try {
      const found: unknown = await connection.run((client) =>
        client.eval(script, { keys: [...keys], arguments: args }),
      );
      return keys.map((_, index) => ({
        count: numberAt(found, 2 * index),
        remainingMs: numberAt(found, 2 * index + 1),
      }));
    } catch {
      return undefined;
    }
  };
  return {
    read: (keys) => ask(readScript, keys, []),
    add: (keys, windowMs) => ask(addScript, keys, [String(windowMs)]),
  };
}

function numberAt(values: unknown, index: number): number {
  const value: unknown = Array.isArray(values) ? values[index] : undefined;
  return typeof value === 'number' ? value : 0;
}
