import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { isSameAddress } from '../core/jid.ts';
import type { Stanza } from '../core/message.ts';
import { readBounce } from './bounce.ts';
import type { ComponentConnection } from './component-connection.ts';
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

/** A batch is written early when it holds this many messages: the server gets to work meanwhile. */
const maxBatch = 16;

/** A write holds no more bytes, unless a single stanza does: its barrier comes the sooner. */
const maxBatchBytes = 64 * 1024;

/** With so many bytes unanswered nothing more is written: a busy server must not look silent. */
const maxUnansweredBytes = 256 * 1024;

/**
 * Sends stanzas in joined writes, each followed by a barrier: a ping (XEP-0199) from the component
 * to a served domain. A server processes a component's stanzas in order, so a bounce that comes
 * before the barrier's answer is the fate of its message, and silence until then means processed.
 */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { componentDomain, barrierDomain, confirmTimeoutMs, silenceTimeoutMs } = options;
  const checkMs = Math.min(1000, confirmTimeoutMs / 4, silenceTimeoutMs / 4);
  const inFlight = createInFlight();
  const barriers = new Map<string, Barrier>();
  let waiting: Entry[] = [];
  let waitingBytes = 0;
  let connection: ComponentConnection | undefined;
  let isFlushPlanned = false;
  let nonce = '';
  let barrierCount = 0;
  let covered = 0;
  let lastHeard = 0;
  let lastChecked = 0;
  let watch: NodeJS.Timeout | undefined;

  const deliver = (stanza: Stanza): Promise<void> =>
    new Promise((resolve, reject) => {
      if (connection === undefined) {
        reject(unavailable('the component stream is down'));
        return;
      }
      if (isFull(stanza.bytes)) {
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
      waiting.push(entry);
      waitingBytes += stanza.bytes;
      planFlush();
    });

  const isFull = (bytes: number): boolean =>
    inFlight.count + waiting.length >= options.maxInFlight ||
    inFlight.bytes + waitingBytes + bytes > options.maxInFlightBytes;

  const planFlush = (): void => {
    if (waiting.length >= Math.min(maxBatch, Math.max(1, inFlight.count >> 3))) {
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
    while (waiting.length > 0 && connection?.isBlocked() === false && !isServerBusy()) {
      const xml = takeBatch();
      connection.write(barriers.size < maxBarriers ? xml + raiseBarrier() : xml);
    }
  };

  const isServerBusy = (): boolean => inFlight.bytes >= maxUnansweredBytes;

  const takeBatch = (): string => {
    let xml = '';
    let bytes = 0;
    let taken = 0;
    for (const entry of waiting) {
      if (taken > 0 && bytes + entry.stanza.bytes > maxBatchBytes) break;
      inFlight.add(entry);
      xml += entry.stanza.xml;
      bytes += entry.stanza.bytes;
      taken += 1;
    }
    waiting.splice(0, taken);
    waitingBytes -= bytes;
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
    options.onBarrier?.((performance.now() - barrier.sentAt) / 1000);
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
      .find((it) => isSameAddress(it.stanza.to, from) && isSameAddress(it.stanza.from, to));
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
    if (now - lastChecked > 2 * checkMs) lastHeard = now;
    lastChecked = now;
    expire(now);
    const [oldest] = barriers.values();
    if (oldest === undefined) {
      if (now - lastHeard >= silenceTimeoutMs) {
        connection?.write(raiseBarrier());
      }
    } else if (now - Math.max(lastHeard, oldest.sentAt) >= silenceTimeoutMs) {
      connection?.destroy(unreachable(`the XMPP server was silent for ${silenceTimeoutMs} ms`));
    }
  };

  const expire = (now: number): void => {
    for (const entry of inFlight.entries()) {
      if (entry.deadline > now) {
        break;
      }
      settle(entry, unknown(`no confirmation within ${confirmTimeoutMs} ms`));
    }
    const firstAlive = waiting.findIndex((entry) => entry.deadline > now);
    for (const entry of waiting.splice(0, firstAlive === -1 ? waiting.length : firstAlive)) {
      waitingBytes -= entry.stanza.bytes;
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
      for (const entry of waiting) {
        settle(entry, unavailable(failure.reason));
      }
      waiting = [];
      waitingBytes = 0;
    },
    handleStanza,
    handleDrain: flush,
    inFlight: () => ({
      count: inFlight.count + waiting.length,
      bytes: inFlight.bytes + waitingBytes,
    }),
  };
}

function settle(entry: Entry, error?: Error): void {
  if (!entry.isSettled) {
    entry.isSettled = true;
    entry.settle(error);
  }
}
