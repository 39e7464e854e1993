import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { bareOf } from '../../core/jid/jid.ts';
import type { Stanza } from '../../core/message/message.ts';
import type { ComponentConnection } from '../stream/connection.ts';
import type { DomainModes } from '../stream/trust-proof.ts';
import { overloaded, readBounce, unavailable, unknown } from '../wire/outcome.ts';
import { moduleGone, notHosted, type StreamFailure, unreachable } from '../wire/stream-failure.ts';
import { createFairQueue } from './fair-queue.ts';
import { type Entry, Lane, maxBarriers, type Passage } from './lane.ts';
import type { StanzaSizes } from './stanza-sizes.ts';

/** Times in milliseconds; sizes are caps on what waits and is in flight together. */
export interface DeliveryOptions {
  readonly componentDomain: string;
  readonly confirmTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** What sizes the server takes. */
  readonly sizes: Pick<StanzaSizes, 'refuse' | 'taken' | 'learn'>;
  /** Called with the time that the answer to a barrier took. */
  readonly onBarrier?: (seconds: number) => void;
}

/** Messages per write: small enough that the server starts on them while we read the next requests. */
const batchSize = 16;

/** Bytes per write, unless a single stanza has more: its barrier comes the sooner. */
const maxBatchBytes = 64 * 1024;

/** With this many bytes unanswered nothing more is written: a busy server must not look silent. */
const maxUnansweredBytes = 256 * 1024;

/** Nor with this many messages: they keep any server busy, and the others wait here, in turns. */
const maxUnanswered = maxBarriers * batchSize;

/**
 * Confirmed delivery over whichever component stream is attached. Stanzas go out in joined writes,
 * each followed by a barrier for each domain that they are from. A server processes a component's
 * stanzas in order, so a bounce that comes before the barrier's answer is the fate of its message,
 * and silence until then means processed.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #checkMs: number;
  /** By then everybody who waits for the barrier has been answered 504. */
  readonly #stalledMs: number;
  readonly #waiting = createFairQueue();
  /** By served domain; there are none while no stream is attached. */
  #lanes: ReadonlyMap<string, Lane> = new Map();
  #unanswered = { count: 0, bytes: 0 };
  #connection: ComponentConnection | undefined;
  #isFlushPlanned = false;
  #nonce = '';
  #barrierCount = 0;
  #lastHeard = 0;
  #lastChecked = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: DeliveryOptions) {
    const { confirmTimeoutMs, silenceTimeoutMs } = options;
    this.#options = options;
    this.#checkMs = Math.min(1000, confirmTimeoutMs / 4, silenceTimeoutMs / 4);
    this.#stalledMs = Math.max(confirmTimeoutMs, silenceTimeoutMs);
  }

  /** Resolves when the server has processed the stanza without an error; else rejects. */
  deliver(stanza: Stanza): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.sizes.refuse(stanza);
      if (this.#connection === undefined) {
        reject(unavailable('the component stream is down'));
        return;
      }
      if (!this.#makeRoom(stanza)) {
        reject(overloaded());
        return;
      }
      this.#waiting.add({
        stanza,
        deadline: performance.now() + this.#options.confirmTimeoutMs,
        settle: (error) => (error === undefined ? resolve() : reject(error)),
        isSettled: false,
        isBounced: false,
      });
      this.#planFlush();
    });
  }

  /** What was written and is not confirmed, and what waits to be written. */
  inFlight(): { readonly count: number; readonly bytes: number } {
    return {
      count: this.#unanswered.count + this.#waiting.count,
      bytes: this.#unanswered.bytes + this.#waiting.bytes,
    };
  }

  attach(connection: ComponentConnection, modes: DomainModes): void {
    const { componentDomain } = this.#options;
    this.#connection = connection;
    this.#lanes = new Map(
      [...modes].map(([domain, { form }]) => {
        const kind = form.mode === 'client' ? 'module' : 'ping';
        return [domain, new Lane(domain, kind, componentDomain)];
      }),
    );
    this.#nonce = `barrier-${randomBytes(16).toString('hex')}-`;
    this.#lastHeard = performance.now();
    this.#lastChecked = this.#lastHeard;
    this.#watch = setInterval(() => this.#check(), this.#checkMs);
  }

  /** The stream is lost: what was written is unknown, what was not is refused. */
  detach(failure: StreamFailure): void {
    this.#connection = undefined;
    clearInterval(this.#watch);
    const written = [...this.#lanes.values()].flatMap((lane) => lane.takeAll());
    this.#lanes = new Map();
    this.#unanswered = { count: 0, bytes: 0 };
    this.#options.sizes.learn(
      failure,
      written.map(({ stanza }) => stanza),
    );
    for (const entry of written) settle(entry, unknown(failure.reason));
    for (const entry of this.#waiting.takeExpired(Number.POSITIVE_INFINITY)) {
      settle(entry, unavailable(failure.reason));
    }
  }

  /** True when it was the bounce of a message in flight. */
  handleStanza(stanza: Element): boolean {
    this.#lastHeard = performance.now();
    const { id, from, to, type } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return false;
    if (stanza.is('iq')) {
      const lane = this.#lanes.get(bareOf(from));
      const passage = lane?.pass(stanza);
      if (lane !== undefined && passage !== undefined) this.#pass(lane, passage);
    }
    return stanza.is('message') && type === 'error' && this.#bounce(stanza, id, from, to);
  }

  handleDrain(): void {
    this.#flush();
  }

  /** At the caps, whoever has most waiting gives way. */
  #makeRoom(stanza: Stanza): boolean {
    for (let full = this.#findFull(stanza); full; full = this.#findFull(stanza)) {
      const other = this.#waiting.takeFromLargest(stanza, full);
      if (other === undefined) return false;
      settle(other, overloaded());
    }
    return true;
  }

  #findFull({ bytes }: Stanza): 'count' | 'bytes' | undefined {
    const all = this.inFlight();
    if (all.count >= this.#options.maxInFlight) return 'count';
    return all.bytes + bytes > this.#options.maxInFlightBytes ? 'bytes' : undefined;
  }

  #planFlush(): void {
    if (this.#waiting.count >= batchSize) {
      this.#flush();
    } else if (!this.#isFlushPlanned) {
      this.#isFlushPlanned = true;
      setImmediate(() => {
        this.#isFlushPlanned = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    while (
      this.#waiting.count > 0 &&
      this.#connection?.isBlocked() === false &&
      !this.#isServerBusy()
    ) {
      this.#connection.write(this.#takeBatch());
    }
  }

  #isServerBusy(): boolean {
    const { count, bytes } = this.#unanswered;
    return bytes >= maxUnansweredBytes || count >= maxUnanswered;
  }

  /** The messages whose turn it is, and a barrier for each domain that they are from. */
  #takeBatch(): string {
    const written = new Set<Lane>();
    let xml = '';
    let bytes = 0;
    for (let taken = 0; taken < batchSize; taken += 1) {
      const next = this.#waiting.peek();
      if (next === undefined || (taken > 0 && bytes + next.stanza.bytes > maxBatchBytes)) break;
      this.#waiting.take();
      written.add(this.#write(next));
      xml += next.stanza.xml;
      bytes += next.stanza.bytes;
    }
    for (const lane of written) if (lane.mayRaise()) xml += this.#raise(lane);
    return xml;
  }

  #write(entry: Entry): Lane {
    const lane = this.#laneOf(entry.stanza.from.domain);
    lane.add(entry);
    this.#count(1, entry.stanza.bytes);
    return lane;
  }

  /** Occupants of rooms live in the component's domain, which no barrier can be sent to. */
  #laneOf(domain: string): Lane {
    const [first] = this.#lanes.values();
    const lane = this.#lanes.get(domain) ?? first;
    if (lane === undefined) throw new Error('expected a served domain, got none');
    return lane;
  }

  #raise(lane: Lane): string {
    this.#barrierCount += 1;
    return lane.raise(`${this.#nonce}${this.#barrierCount}`);
  }

  #pass(lane: Lane, { answer, seconds, confirmed }: Passage): void {
    this.#options.onBarrier?.(seconds);
    if (answer !== 'passed') {
      const failure = answer === 'module-gone' ? moduleGone(lane.domain) : notHosted(lane.domain);
      this.#connection?.destroy(failure);
      return;
    }
    for (const entry of confirmed) {
      this.#count(-1, -entry.stanza.bytes);
      this.#options.sizes.taken(entry.stanza);
      settle(entry);
    }
    this.#flush();
    if (lane.isUncovered()) this.#connection?.write(this.#raise(lane));
  }

  #count(messages: number, bytes: number): void {
    this.#unanswered.count += messages;
    this.#unanswered.bytes += bytes;
  }

  #bounce(stanza: Element, id: string, from: string, to: string): boolean {
    for (const lane of this.#lanes.values()) {
      const entry = lane.findBounced(id, from, to);
      if (entry === undefined) continue;
      entry.isBounced = true;
      settle(entry, readBounce(stanza));
      return true;
    }
    return false;
  }

  #check(): void {
    const now = performance.now();
    const lanes = [...this.#lanes.values()];
    // While this process did not run, it could not hear.
    if (now - this.#lastChecked > 2 * this.#checkMs) {
      this.#lastHeard = now;
      for (const lane of lanes) lane.lastPassed = now;
    }
    this.#lastChecked = now;
    this.#expire(now);
    for (const lane of lanes) this.#checkLane(lane, now);
  }

  /** A domain that nobody writes from is asked, too: it may have been taken away. */
  #checkLane(lane: Lane, now: number): void {
    const { silenceTimeoutMs } = this.#options;
    const sentAt = lane.oldestSentAt();
    if (sentAt === undefined) {
      const isQuiet = now - lane.lastPassed >= silenceTimeoutMs;
      if (isQuiet) this.#connection?.write(this.#raise(lane));
    } else if (now - Math.max(this.#lastHeard, sentAt) >= silenceTimeoutMs) {
      this.#destroy(`the XMPP server was silent for ${silenceTimeoutMs} ms`);
    } else if (now - Math.max(lane.lastPassed, sentAt) >= this.#stalledMs) {
      this.#destroy(`the XMPP server answered no ping for ${this.#stalledMs} ms`);
    }
  }

  #destroy(reason: string): void {
    this.#connection?.destroy(unreachable(reason));
  }

  #expire(now: number): void {
    const { confirmTimeoutMs } = this.#options;
    for (const lane of this.#lanes.values()) {
      // In the order of writing, in which the callers had turns: not in that of the deadlines.
      for (const entry of lane.entries()) {
        if (entry.deadline > now) continue;
        settle(entry, unknown(`no confirmation within ${confirmTimeoutMs} ms`));
      }
    }
    for (const entry of this.#waiting.takeExpired(now)) {
      settle(entry, unavailable('the XMPP server takes in nothing'));
    }
  }
}

function settle(entry: Entry, error?: Error): void {
  if (!entry.isSettled) {
    entry.isSettled = true;
    entry.settle(error);
  }
}
