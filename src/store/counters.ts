import type { RedisConnection } from './redis.ts';

/** What was counted in a window that has begun, and how long it still lasts. */
export interface SharedCount {
  readonly count: number;
  readonly remainingMs: number;
}

/** Counts in fixed windows, by all processes together; `undefined` while the store does not say. */
export interface SharedCounters {
  read(keys: readonly string[]): Promise<readonly SharedCount[] | undefined>;
  /** Counts one more of each; a window of `windowMs` begins with the first. */
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

/** Creates the counters. */
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
