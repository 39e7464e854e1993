import { authenticationUnavailable } from '../wire/authentication-unavailable.ts';

/** Runs tasks, at most so many at once; the others wait in the order in which they came. */
export interface DialSlots {
  /** Rejects without a run with the signal's reason, or `authentication-unavailable` when too many wait. */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** Creates slots for `maxActive` tasks, for which at most `maxWaiting` more may wait. */
export function createDialSlots(maxActive: number, maxWaiting: number): DialSlots {
  const waiting = new Set<() => void>();
  let active = 0;

  const acquire = async (signal: AbortSignal): Promise<void> => {
    if (active < maxActive) {
      active += 1;
      return;
    }
    if (waiting.size >= maxWaiting) {
      throw authenticationUnavailable('Too many logins wait for the XMPP server.');
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      waiting.add(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  };

  const release = (): void => {
    const [next] = waiting;
    if (next === undefined) {
      active -= 1;
    } else {
      // The slot passes on: nobody who comes in between can take it.
      waiting.delete(next);
      next();
    }
  };

  return {
    run: async (task, signal) => {
      await acquire(signal);
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
