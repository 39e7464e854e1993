import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';
import type { SharedCounters } from '../../store/counters.ts';
import { createFailureGate, type FailureGate } from './failure-gate.ts';

/** How many failed logins are allowed in the `windowMs` that begin with the first of them. */
export interface ThrottleOptions {
  readonly perAddress: number;
  readonly perUser: number;
  readonly windowMs: number;
}

/**
 * Limits how fast passwords can be guessed. Only failures count, by client address and by user.
 */
export interface Throttle {
  /**
   * Resolves with the result of `check`, and counts a `false`. Rejects with GatewayError
   * `too-many-requests`, without checking, once the failures have reached a limit. Attempts under way
   * may still become failures: those that could exceed a limit wait, for about 10 s and at most 1000
   * at a time; any others are rejected as `authentication-unavailable`.
   */
  attempt(address: string, user: string, check: () => Promise<boolean>): Promise<boolean>;
  /** Counts a failure that needed no check. */
  fail(address: string): void;
}

const maxWaitMs = 10_000;
const maxWaiting = 1000;
const maxProvenPairs = 10_000;

/** A key whose failures a gate counts. */
interface CountedKey {
  readonly gate: FailureGate;
  readonly key: string;
}

interface Slot extends CountedKey {
  /** The client address that the attempt comes from. */
  readonly from: string;
}

/**
 * Creates a throttle that has counted nothing yet. Failures that other processes have counted in
 * `shared` count here as well; while those cannot be read, this process counts alone.
 */
export function createThrottle(options: ThrottleOptions, shared?: SharedCounters): Throttle {
  const { perAddress, perUser, windowMs } = options;
  const byAddress = createFailureGate(perAddress, windowMs, 'from this address');
  const byUser = createFailureGate(perUser, windowMs, 'of this user');
  // A user who has logged in from an address before must not be locked out there by failures elsewhere.
  const proven = new LRUCache<string, true>({ max: maxProvenPairs });
  const attemptIn = createAttemptIn();

  const learn = async (counted: readonly CountedKey[]): Promise<void> => {
    if (shared !== undefined) takeOver(counted, await shared.read(counted.map(sharedKey)));
  };
  const fail = async (counted: readonly CountedKey[]): Promise<void> => {
    for (const { gate, key } of counted) gate.fail(key);
    if (shared !== undefined) takeOver(counted, await shared.add(counted.map(sharedKey), windowMs));
  };

  return {
    async attempt(address, user, check) {
      const from = addressKey(address);
      const place: Slot = { gate: byAddress, key: from, from };
      // A digest, because a name that was merely tried may be as long as a header.
      const name: Slot = { gate: byUser, key: hash('sha256', user, 'base64'), from };
      const pair = `${name.key} ${from}`;
      await learn([place, name]);
      return attemptIn(proven.has(pair) ? [place] : [place, name], async () => {
        const isRight = await check();
        if (isRight) proven.set(pair, true);
        else await fail([place, name]);
        return isRight;
      });
    },
    fail: (address) => void fail([{ gate: byAddress, key: addressKey(address) }]),
  };
}

/** Takes over what all processes have counted, where it is more than the count of this one. */
function takeOver(
  counted: readonly CountedKey[],
  counts: Awaited<ReturnType<SharedCounters['read']>>,
): void {
  for (const [index, { gate, key }] of counted.entries()) {
    const found = counts?.[index];
    if (found !== undefined) gate.learn(key, found.count, found.remainingMs);
  }
}

/** A digest: the store must not hold addresses and user names in clear. */
function sharedKey({ key }: CountedKey): string {
  return `xmpp-message-gateway:failures:${hash('sha256', key, 'base64')}`;
}

/** Starts an attempt as soon as all its slots have room; until then it waits, within bounds. */
function createAttemptIn(): (
  slots: readonly Slot[],
  check: () => Promise<boolean>,
) => Promise<boolean> {
  let waiting = 0;

  const enter = async (slots: readonly Slot[]): Promise<void> => {
    const deadline = performance.now() + maxWaitMs;
    for (let full = findFull(slots); full !== undefined; full = findFull(slots)) {
      if (waiting >= maxWaiting || performance.now() > deadline) throw tooSlow();
      waiting += 1;
      await full.gate.nextLeave(full.key);
      waiting -= 1;
    }
    // Nothing is awaited between the last look and `enter`, so no other attempt can slip in.
    for (const { gate, key, from } of slots) gate.enter(key, from);
  };
  return async (slots, check) => {
    await enter(slots);
    try {
      return await check();
    } finally {
      for (const { gate, key } of slots) gate.leave(key);
    }
  };
}

function findFull(slots: readonly Slot[]): Slot | undefined {
  return slots.find(({ gate, key, from }) => !gate.hasRoom(key, from));
}

function tooSlow(): GatewayError {
  return new GatewayError(
    'authentication-unavailable',
    'Too many logins from this address, or of this user, are being checked.',
    { retryAfterSeconds: 1 },
  );
}

/**
 * Maps a client address to what is counted as one: an IPv4 address, even if mapped into IPv6
 * (RFC 4291 §2.5.5.2), or the /64 network of an IPv6 address, which is what one subscriber gets.
 */
export function addressKey(address: string): string {
  if (isIP(address) !== 6) return address;
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  return mapped ?? `${network(address)}::/64`;
}

function network(address: string): string {
  const [head = '', tail = ''] = address.replace(/%.*$/, '').split('::', 2);
  const first = groups(head);
  const last = groups(tail);
  const zeros = Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0);
  return [...first, ...zeros, ...last]
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':');
}

/** The 16-bit groups of a part. An IPv4 address at its end counts as two, never among the first four. */
function groups(part: string): number[] {
  if (part === '') return [];
  return part
    .split(':')
    .flatMap((group) => (group.includes('.') ? [0, 0] : [Number.parseInt(group, 16)]));
}
