import { hash } from 'node:crypto';
import type { FailureGate } from './failure-gate.ts';

/** Failures that several processes count together, in windows that begin with the first of them. */
export interface SharedFailures {
  /** How many there were so far by key, and how long they count; undefined when nobody can say. */
  read(keys: readonly string[]): Promise<readonly FailureCount[] | undefined>;
  /** Counts one more for each key, and says what `read` would. */
  add(keys: readonly string[], windowMs: number): Promise<readonly FailureCount[] | undefined>;
}

interface FailureCount {
  readonly count: number;
  readonly remainingMs: number;
}

/** What is counted in a gate. */
interface CountedKey {
  readonly gate: FailureGate;
  readonly key: string;
}

/** Tells the gates of this process what all have counted; without an answer they go by their own. */
export interface Sharing {
  learn(places: readonly CountedKey[]): Promise<void>;
  /** Counts a failure for the others. */
  fail(places: readonly CountedKey[]): Promise<void>;
}

/** Creates the sharing of one throttle. */
export function createSharing(shared: SharedFailures, windowMs: number): Sharing {
  return {
    learn: async (places) => takeOver(places, await shared.read(places.map(digest))),
    fail: async (places) => takeOver(places, await shared.add(places.map(digest), windowMs)),
  };
}

/** Addresses and names do not stand in the store as they are. */
function digest({ key }: CountedKey): string {
  return `xmpp-message-gateway:failures:${hash('sha256', key, 'base64')}`;
}

function takeOver(
  places: readonly CountedKey[],
  counts: readonly FailureCount[] | undefined,
): void {
  for (const [index, { gate, key }] of places.entries()) {
    const found = counts?.[index];
    if (found !== undefined) gate.learn(key, found.count, found.remainingMs);
  }
}
