import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import type { Stanza } from '../../core/message/message.ts';
import type { WireForm } from '../../core/message/mode.ts';
import type { StreamHandle } from '../stream/handle.ts';
import type { DomainModes } from '../stream/trust-proof.ts';
import type { BarrierKind } from '../wire/barrier.ts';
import { overloaded, readOwnBounce, unavailable, unknown } from '../wire/gateway-errors.ts';
import { moduleGone, notHosted, type StreamFailure, unreachable } from '../wire/stream-failure.ts';
import { FairQueue } from './fair-queue.ts';
import { Lane, type Passage, type PendingMessage } from './lane.ts';
import type { StanzaSizes } from './stanza-sizes.ts';

/** Times in milliseconds. The caps count what is in flight together with what waits to be written. */
export interface DeliveryOptions {
  readonly stream: StreamHandle;
  readonly componentDomain: string;
  readonly confirmTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** The stanza sizes that the server is known to take or to refuse. */
  readonly sizes: Pick<StanzaSizes, 'refuse' | 'taken' | 'learn'>;
  /** Called with the time that the answer to a barrier took. */
  readonly onBarrier?: (seconds: number) => void;
}

// The sizes were chosen by measurement on both servers (docs/performance.md).

/** With this many waiting, a write begins at once: the server starts while we read the next requests. */
const earlyBatchSize = 16;

/** Messages per write at most: the larger it is, the fewer barriers a long queue needs. */
const maxBatchSize = 32;

/** Bytes per write, unless a single stanza has more: a smaller batch gets its barrier sooner. */
const maxBatchBytes = 64 * 1024;

/** With this many bytes unanswered nothing more is written, or a busy server would look silent. */
const maxUnansweredBytes = 256 * 1024;

/** The same for messages: this many keep any server busy, and the others wait here for their turns. */
const maxUnanswered = 64;

/**
 * Delivers messages and learns their fates. Stanzas go out in joined writes, each followed by a
 * barrier for every domain that has a sender among them. A server processes a component's stanzas in
 * order. So a bounce that comes before the answer to the barrier is the fate of its message, and a
 * message without a bounce by then has been processed.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #stream: StreamHandle;
  readonly #checkMs: number;
  /** By then, every caller that waits for the barrier has been answered 504. */
  readonly #stalledMs: number;
  readonly #waiting = new FairQueue();
  /** By served domain; empty while there is no stream. */
  #lanes: ReadonlyMap<string, Lane> = new Map();
  #unanswered = { count: 0, bytes: 0, heldBytes: 0 };
  #isFlushPlanned = false;
  #nonce = '';
  #barrierCount = 0;
  #resumedAt = 0;
  #lastChecked = 0;
  #checking: NodeJS.Timeout | undefined;

  constructor(options: DeliveryOptions) {
    const { stream, confirmTimeoutMs, silenceTimeoutMs } = options;
    this.#options = options;
    this.#stream = stream;
    this.#checkMs = Math.min(1000, confirmTimeoutMs / 4, silenceTimeoutMs / 4);
    this.#stalledMs = Math.max(confirmTimeoutMs, silenceTimeoutMs);
  }

  /**
   * Resolves once the server has processed the stanza and no bounce has come; otherwise rejects. Calls
   * `onWrite` just before it is written, which it may never be.
   */
  deliver(stanza: Stanza, onWrite?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.sizes.refuse(stanza);
      if (!this.#stream.isOpen()) {
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
        onWrite,
        isSettled: false,
        isBounced: false,
      });
      this.#planFlush();
    });
  }

  /**
   * The messages that were written and not confirmed yet, and those that wait to be written, with what
   * they take in memory.
   */
  inFlight(): { readonly count: number; readonly bytes: number } {
    return {
      count: this.#unanswered.count + this.#waiting.count,
      bytes: this.#unanswered.heldBytes + this.#waiting.bytes,
    };
  }

  /** A stream has proved itself; the stream handle can write. */
  handleReady(modes: DomainModes): void {
    const { componentDomain: component } = this.#options;
    const stream = this.#stream;
    const onPassage = (lane: Lane, passage: Passage): void => this.#pass(lane, passage);
    this.#lanes = new Map(
      [...modes].map(([domain, { form }]) => {
        const kind = barrierKindOf(form);
        return [domain, new Lane({ domain, kind, component, stream, onPassage })];
      }),
    );
    this.#nonce = `barrier-${randomBytes(16).toString('hex')}-`;
    this.#lastChecked = performance.now();
    this.#checking = setInterval(() => this.#check(), this.#checkMs);
  }

  /**
   * Messages go out in other modes from now on. Those of the old mode stay in their lanes: the server
   * processes them first, so that either kind of barrier proves them.
   */
  handleModes(modes: DomainModes): void {
    for (const [domain, { form }] of modes) {
      const lane = this.#lanes.get(domain);
      if (lane !== undefined) lane.kind = barrierKindOf(form);
    }
  }

  /** The stream is lost: what was written has an unknown fate, what was not is refused. */
  handleClose(failure: StreamFailure): void {
    clearInterval(this.#checking);
    const written = [...this.#lanes.values()].flatMap((lane) => lane.takeAll());
    this.#lanes = new Map();
    this.#unanswered = { count: 0, bytes: 0, heldBytes: 0 };
    this.#options.sizes.learn(
      failure,
      written.map(({ stanza }) => stanza),
    );
    for (const message of written) settle(message, unknown(failure.reason));
    for (const message of this.#waiting.takeExpired(Number.POSITIVE_INFINITY)) {
      settle(message, unavailable(failure.reason));
    }
  }

  handleDrain(): void {
    this.#flush();
  }

  /** Takes the bounce of a message in flight. */
  takeBounce(stanza: Element): boolean {
    const { id, from, to } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return false;
    for (const lane of this.#lanes.values()) {
      const message = lane.findBounced(id, from, to);
      if (message === undefined) continue;
      message.isBounced = true;
      settle(message, readOwnBounce(stanza, message.stanza));
      return true;
    }
    return false;
  }

  /** At a cap, the caller with the most waiting messages gives way. */
  #makeRoom(stanza: Stanza): boolean {
    for (let full = this.#findFull(stanza); full; full = this.#findFull(stanza)) {
      const other = this.#waiting.takeFromLargest(stanza, full);
      if (other === undefined) return false;
      settle(other, overloaded());
    }
    return true;
  }

  #findFull({ heldBytes }: Stanza): 'count' | 'bytes' | undefined {
    const all = this.inFlight();
    // A single message always fits, whatever it takes in memory.
    if (all.count === 0) return undefined;
    if (all.count >= this.#options.maxInFlight) return 'count';
    return all.bytes + heldBytes > this.#options.maxInFlightBytes ? 'bytes' : undefined;
  }

  #planFlush(): void {
    if (this.#waiting.count >= earlyBatchSize) {
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
    while (this.#waiting.count > 0 && !this.#stream.isBlocked() && !this.#isServerBusy()) {
      this.#stream.write(this.#takeBatch());
    }
  }

  #isServerBusy(): boolean {
    const { count, bytes } = this.#unanswered;
    return bytes >= maxUnansweredBytes || count >= maxUnanswered;
  }

  /** The messages whose turn it is, and a barrier for each domain with a sender among them. */
  #takeBatch(): string {
    const written = new Set<Lane>();
    let xml = '';
    let bytes = 0;
    for (let taken = 0; taken < maxBatchSize; taken += 1) {
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

  #write(message: PendingMessage): Lane {
    message.onWrite?.();
    const lane = this.#laneOf(message.stanza.from.domain);
    lane.add(message);
    this.#count(1, message.stanza);
    return lane;
  }

  /** Room occupants have addresses in the component's domain, to which no barrier can be sent. */
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
      this.#stream.destroy(failure);
      return;
    }
    for (const message of confirmed) {
      this.#count(-1, message.stanza);
      this.#options.sizes.taken(message.stanza);
      settle(message);
    }
    this.#flush();
    if (lane.isUncovered()) this.#stream.write(this.#raise(lane));
  }

  #count(sign: 1 | -1, { bytes, heldBytes }: Stanza): void {
    this.#unanswered.count += sign;
    this.#unanswered.bytes += sign * bytes;
    this.#unanswered.heldBytes += sign * heldBytes;
  }

  #check(): void {
    const now = performance.now();
    const lanes = [...this.#lanes.values()];
    // This process was suspended, so it could not hear the server.
    if (now - this.#lastChecked > 2 * this.#checkMs) {
      this.#resumedAt = now;
      for (const lane of lanes) lane.lastPassed = now;
    }
    this.#lastChecked = now;
    this.#expire(now);
    for (const lane of lanes) this.#checkLane(lane, now);
  }

  /** A domain without senders is asked as well: the server may have stopped hosting it. */
  #checkLane(lane: Lane, now: number): void {
    const { silenceTimeoutMs } = this.#options;
    const sentAt = lane.oldestSentAt();
    if (sentAt === undefined) {
      const isQuiet = now - lane.lastPassed >= silenceTimeoutMs;
      if (isQuiet) this.#stream.write(this.#raise(lane));
    } else if (now - Math.max(this.#lastHeard(), sentAt) >= silenceTimeoutMs) {
      this.#destroy(`the XMPP server was silent for ${silenceTimeoutMs} ms`);
    } else if (now - Math.max(lane.lastPassed, sentAt) >= this.#stalledMs) {
      this.#destroy(`the XMPP server answered no ping for ${this.#stalledMs} ms`);
    }
  }

  #lastHeard(): number {
    return Math.max(this.#stream.lastHeard, this.#resumedAt);
  }

  #destroy(reason: string): void {
    this.#stream.destroy(unreachable(reason));
  }

  #expire(now: number): void {
    const { confirmTimeoutMs } = this.#options;
    for (const lane of this.#lanes.values()) {
      // All of them: the order of writing gives callers turns, so it is not the order of deadlines.
      for (const message of lane.messages()) {
        if (message.deadline > now) continue;
        settle(message, unknown(`no confirmation within ${confirmTimeoutMs} ms`));
      }
    }
    for (const message of this.#waiting.takeExpired(now)) {
      settle(message, unavailable('the XMPP server reads nothing'));
    }
  }
}

function barrierKindOf({ mode }: WireForm): BarrierKind {
  return mode === 'client' ? 'module' : 'ping';
}

function settle(message: PendingMessage, error?: Error): void {
  if (message.isSettled) return;
  message.isSettled = true;
  message.settle(error);
}
