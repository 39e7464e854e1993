import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { isSameAddress } from '../core/jid.ts';
import type { Stanza } from '../core/message.ts';
import { readBounce } from './bounce.ts';
import type { ComponentConnection } from './component-connection.ts';
import { createFairQueue } from './fair-queue.ts';
import { createInFlight, type Entry } from './in-flight.ts';
import { buildPing } from './iq.ts';
import { type StreamFailure, unreachable } from './stream-failure.ts';
import { overloaded, unavailable, unknown } from './undelivered.ts';

/** Confirmed delivery over whichever component stream is attached. */
export interface Delivery {
  /** Resolves when the server has processed the stanza without an error; else rejects. */
  deliver(stanza: Stanza): Promise<void>;
  attach(connection: ComponentConnection): void;
  /** The stream is lost: what was written is unknown, what was not is refused. */
  detach(failure: StreamFailure): void;
  /** True when it was the bounce of a message in flight. */
  handleStanza(stanza: Element): boolean;
  handleDrain(): void;
  /** What was written and is not confirmed, and what waits to be written. */
  inFlight(): { readonly count: number; readonly bytes: number };
}

/** Times in milliseconds; sizes are caps on what waits and is in flight together. */
export interface DeliveryOptions {
  readonly componentDomain: string;
  /** A served domain, which answers the pings. */
  readonly barrierDomain: string;
  readonly confirmTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Told how long the answer to a barrier took. */
  readonly onBarrier?: (seconds: number) => void;
}

/** A ping whose answer proves that the server has processed all that was written before it. */
interface Barrier {
  readonly covers: number;
  readonly sentAt: number;
}

/** More barriers at once cost the server more and confirm nothing sooner. */
const maxBarriers = 4;

/** So many messages are written at once, before the others that are being read: the server gets to work meanwhile. */
const batchSize = 16;

/** A write holds no more bytes, unless a single stanza does: its barrier comes the sooner. */
const maxBatchBytes = 64 * 1024;

/** With so many bytes unanswered nothing more is written: a busy server must not look silent. */
const maxUnansweredBytes = 256 * 1024;

/** Nor with so many messages: they keep any server busy, and the others wait here, in turns. */
const maxUnanswered = maxBarriers * batchSize;

/**
 * Sends stanzas in joined writes, each followed by a barrier: a ping (XEP-0199) from the component
 * to a served domain. A server processes a component's stanzas in order, so a bounce that comes
 * before the barrier's answer is the fate of its message, and silence until then means processed.
 */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { componentDomain, barrierDomain, confirmTimeoutMs, silenceTimeoutMs } = options;
  const checkMs = Math.min(1000, confirmTimeoutMs / 4, silenceTimeoutMs / 4);
  // By then everybody who waits for the barrier has been told 504.
  const stalledMs = Math.max(confirmTimeoutMs, silenceTimeoutMs);
  const inFlight = createInFlight();
  const barriers = new Map<string, Barrier>();
  const waiting = createFairQueue();
  let connection: ComponentConnection | undefined;
  let isFlushPlanned = false;
  let nonce = '';
  let barrierCount = 0;
  let covered = 0;
  let lastHeard = 0;
  let lastPassed = 0;
  let lastChecked = 0;
  let watch: NodeJS.Timeout | undefined;

  const deliver = (stanza: Stanza): Promise<void> =>
    new Promise((resolve, reject) => {
      if (connection === undefined) {
        reject(unavailable('the component stream is down'));
        return;
      }
      if (!makeRoom(stanza)) {
        reject(overloaded());
        return;
      }
      const entry: Entry = {
        stanza,
        deadline: performance.now() + confirmTimeoutMs,
        settle: (error) => (error === undefined ? resolve() : reject(error)),
        isSettled: false,
        isBounced: false,
      };
      waiting.add(entry);
      planFlush();
    });

  /** At the caps, whoever has most waiting gives way. */
  const makeRoom = (stanza: Stanza): boolean => {
    for (let full = findFull(stanza); full !== undefined; full = findFull(stanza)) {
      const other = waiting.takeFromLargest(stanza, full);
      if (other === undefined) return false;
      settle(other, overloaded());
    }
    return true;
  };

  const findFull = ({ bytes }: Stanza): 'count' | 'bytes' | undefined => {
    if (inFlight.count + waiting.count >= options.maxInFlight) return 'count';
    const all = inFlight.bytes + waiting.bytes + bytes;
    return all > options.maxInFlightBytes ? 'bytes' : undefined;
  };

  const planFlush = (): void => {
    if (waiting.count >= batchSize) {
      flush();
    } else if (!isFlushPlanned) {
      isFlushPlanned = true;
      setImmediate(() => {
        isFlushPlanned = false;
        flush();
      });
    }
  };

  const flush = (): void => {
    while (waiting.count > 0 && connection?.isBlocked() === false && !isServerBusy()) {
      const xml = takeBatch();
      connection.write(barriers.size < maxBarriers ? xml + raiseBarrier() : xml);
    }
  };

  const isServerBusy = (): boolean =>
    inFlight.bytes >= maxUnansweredBytes || inFlight.count >= maxUnanswered;

  const takeBatch = (): string => {
    let xml = '';
    let bytes = 0;
    for (let taken = 0; taken < batchSize; taken += 1) {
      const next = waiting.peek();
      if (next === undefined || (taken > 0 && bytes + next.stanza.bytes > maxBatchBytes)) break;
      waiting.take();
      inFlight.add(next);
      xml += next.stanza.xml;
      bytes += next.stanza.bytes;
    }
    return xml;
  };

  const raiseBarrier = (): string => {
    barrierCount += 1;
    const id = `${nonce}${barrierCount}`;
    covered = inFlight.lastAdded;
    barriers.set(id, { covers: covered, sentAt: performance.now() });
    return buildPing(id, componentDomain, barrierDomain);
  };

  const passBarrier = (id: string, barrier: Barrier): void => {
    lastPassed = performance.now();
    options.onBarrier?.((lastPassed - barrier.sentAt) / 1000);
    for (const older of barriers.keys()) {
      barriers.delete(older);
      if (older === id) {
        break;
      }
    }
    for (const entry of inFlight.takeUpTo(barrier.covers)) {
      settle(entry);
    }
    flush();
    if (inFlight.lastAdded > covered) {
      connection?.write(raiseBarrier());
    }
  };

  const handleStanza = (stanza: Element): boolean => {
    lastHeard = performance.now();
    const { id, from, to, type } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) {
      return false;
    }
    if (stanza.is('iq')) {
      const barrier = barriers.get(id);
      if (barrier !== undefined && from === barrierDomain && to === componentDomain) {
        passBarrier(id, barrier);
      }
    }
    return stanza.is('message') && type === 'error' && bounce(stanza, id, from, to);
  };

  const bounce = (stanza: Element, id: string, from: string, to: string): boolean => {
    const entry = inFlight
      .find(id)
      .find(
        ({ stanza: { from: sender, to: recipient, isWrapped } }) =>
          (isSameAddress(recipient, from) && isSameAddress(sender, to)) ||
          (isWrapped && from === sender.domain && to === componentDomain),
      );
    if (entry === undefined) {
      return false;
    }
    entry.isBounced = true;
    settle(entry, readBounce(stanza));
    return true;
  };

  const check = (): void => {
    const now = performance.now();
    // While this process did not run, it could not hear.
    if (now - lastChecked > 2 * checkMs) lastHeard = lastPassed = now;
    lastChecked = now;
    expire(now);
    const [oldest] = barriers.values();
    if (oldest === undefined) {
      if (now - lastHeard >= silenceTimeoutMs) {
        connection?.write(raiseBarrier());
      }
    } else if (now - Math.max(lastHeard, oldest.sentAt) >= silenceTimeoutMs) {
      connection?.destroy(unreachable(`the XMPP server was silent for ${silenceTimeoutMs} ms`));
    } else if (now - Math.max(lastPassed, oldest.sentAt) >= stalledMs) {
      connection?.destroy(unreachable(`the XMPP server answered no ping for ${stalledMs} ms`));
    }
  };

  const expire = (now: number): void => {
    // In the order of writing, in which the callers had turns: not in that of the deadlines.
    for (const entry of inFlight.entries()) {
      if (entry.deadline > now) continue;
      settle(entry, unknown(`no confirmation within ${confirmTimeoutMs} ms`));
    }
    for (const entry of waiting.takeExpired(now)) {
      settle(entry, unavailable('the XMPP server takes in nothing'));
    }
  };

  return {
    deliver,
    attach: (next) => {
      connection = next;
      nonce = `barrier-${randomBytes(16).toString('hex')}-`;
      lastHeard = performance.now();
      lastChecked = lastHeard;
      watch = setInterval(check, checkMs);
    },
    detach: (failure) => {
      connection = undefined;
      clearInterval(watch);
      barriers.clear();
      for (const entry of inFlight.takeUpTo(inFlight.lastAdded)) {
        settle(entry, unknown(failure.reason));
      }
      for (const entry of waiting.takeExpired(Number.POSITIVE_INFINITY)) {
        settle(entry, unavailable(failure.reason));
      }
    },
    handleStanza,
    handleDrain: flush,
    inFlight: () => ({
      count: inFlight.count + waiting.count,
      bytes: inFlight.bytes + waiting.bytes,
    }),
  };
}

function settle(entry: Entry, error?: Error): void {
  if (!entry.isSettled) {
    entry.isSettled = true;
    entry.settle(error);
  }
}
