import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';
import { createFailureGate, type FailureGate } from './failure-gate.ts';
import { createSharing, type SharedFailures } from './shared-failures.ts';

/** How many failed logins are allowed in the `windowMs` that begin with the first of them. */
export interface ThrottleOptions {
  readonly perAddress: number;
  readonly perUser: number;
  readonly windowMs: number;
}

/** Bounds how fast passwords can be guessed; only failures count, by client address and by user. */
export interface Throttle {
  /**
   * Resolves with what `check` says, and counts a `false`. Rejects with GatewayError
   * `too-many-requests`, without checking, when the failures have reached a limit. Attempts under
   * way may become failures: those that could exceed a limit wait, at most some 10 s and at most 1000
   * at once; the others are rejected as `authentication-unavailable`.
   */
  attempt(address: string, user: string, check: () => Promise<boolean>): Promise<boolean>;
  /** Counts a failure that needed no check. */
  fail(address: string): void;
}

const maxWaitMs = 10_000;
const maxWaiting = 1000;
const maxProvenPairs = 10_000;

interface Slot {
  readonly gate: FailureGate;
  readonly key: string;
  /** The client address that the attempt comes from. */
  readonly from: string;
}

/** Creates a throttle that has counted nothing yet; what `shared` has counted counts too. */
export function createThrottle(options: ThrottleOptions, shared?: SharedFailures): Throttle {
  const { perAddress, perUser, windowMs } = options;
  const byAddress = createFailureGate(perAddress, windowMs, 'from this address');
  const byUser = createFailureGate(perUser, windowMs, 'of this user');
  // Where a user has logged in before, failures from elsewhere must not lock that user out.
  const proven = new LRUCache<string, true>({ max: maxProvenPairs });
  const attemptIn = createAttemptIn();
  const sharing = shared && createSharing(shared, windowMs);

  return {
    async attempt(address, user, check) {
      const from = addressKey(address);
      const place: Slot = { gate: byAddress, key: from, from };
      // A digest, because a name that was only tried may be as long as a header.
      const name: Slot = { gate: byUser, key: hash('sha256', user, 'base64'), from };
      const pair = `${name.key} ${from}`;
      await sharing?.learn([place, name]);
      const isRight = await attemptIn(proven.has(pair) ? [place] : [place, name], async () => {
        const answer = await check();
        if (answer) {
          proven.set(pair, true);
          return true;
        }
        for (const { gate, key } of [place, name]) gate.fail(key);
        await sharing?.fail([place, name]);
        return false;
      });
      return isRight;
    },
    fail(address) {
      const from = addressKey(address);
      byAddress.fail(from);
      void sharing?.fail([{ gate: byAddress, key: from }]);
    },
  };
}

/** Makes attempts as soon as all their slots have room; the others wait, within bounds. */
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
    // Nothing is awaited between the last look and entering, so no other attempt comes between.
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
    'Too many logins of the same address or user are being checked.',
    { retryAfterSeconds: 1 },
  );
}

/**
 * What counts as one client address: an IPv4 address, also when mapped into IPv6 (RFC 4291
 * §2.5.5.2), or the /64 of an IPv6 address, which is what one subscriber holds.
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

/** The 16-bit groups of a part; an IPv4 address at its end is two, and never within the first four. */
function groups(part: string): number[] {
  if (part === '') return [];
  return part
    .split(':')
    .flatMap((group) => (group.includes('.') ? [0, 0] : [Number.parseInt(group, 16)]));
}
