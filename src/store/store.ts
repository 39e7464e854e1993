import type { Logger } from 'pino';
import type { Secret } from '../core/secret.ts';
import { createSharedClaims, type SharedClaims } from './claims.ts';
import { createSharedCounters, type SharedCounters } from './counters.ts';
import { createRedisConnection } from './redis.ts';

/** What several processes of the gateway share. */
export interface Store {
  start(): void;
  stop(): void;
  /** Why nothing can be shared now; undefined when all is well. */
  readonly failure: () => string | undefined;
  readonly claims: SharedClaims;
  readonly counters: SharedCounters;
}

/** Creates the store in the Redis at `url`; it is opened by `start`. */
export function createStore(url: Secret, log: Logger): Store {
  const connection = createRedisConnection({
    url,
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

/** Opens the store once and closes it again; resolves with what went wrong. */
export function tryStore(url: Secret): Promise<string | undefined> {
  return new Promise((resolve) => {
    const end = (failure: string | undefined): void => {
      connection.stop();
      resolve(failure);
    };
    const connection = createRedisConnection({
      url,
      onReady: () => end(undefined),
      onDown: end,
    });
    connection.start();
  });
}
