import type { Logger } from 'pino';
import { createSharedClaims, type SharedClaims } from './claims.ts';
import { createSharedCounters, type SharedCounters } from './counters.ts';
import { createRedisConnection, type RedisAddress } from './redis.ts';

/** State that several gateway processes share. */
export interface Store {
  start(): void;
  stop(): void;
  /** Why the store cannot be used now; undefined while it can. */
  readonly failure: () => string | undefined;
  readonly claims: SharedClaims;
  readonly counters: SharedCounters;
}

/** Creates the store in the Redis at this address; `start` connects to it. */
export function createStore(address: RedisAddress, log: Logger): Store {
  const connection = createRedisConnection({
    ...address,
    onReady: () => log.info('store ready'),
    onProven: () => claims.resume(),
    onDown: (reason, retryInMs, isRepeated) =>
      log[isRepeated ? 'debug' : 'warn']({ reason, retryInMs }, 'store down'),
  });
  const claims = createSharedClaims(connection);
  return {
    start: connection.start,
    stop: connection.stop,
    failure: connection.failure,
    claims,
    counters: createSharedCounters(connection),
  };
}

/** Connects to the store once and closes it again; resolves with what failed, if anything. */
export function tryStore(address: RedisAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const end = (failure: string | undefined): void => {
      connection.stop();
      resolve(failure);
    };
    const connection = createRedisConnection({
      ...address,
      onReady: () => end(undefined),
      onDown: end,
    });
    connection.start();
  });
}
