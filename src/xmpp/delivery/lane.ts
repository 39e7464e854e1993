import type { Element } from 'ltx';
import { WrittenAddress } from '../../core/jid/jid.ts';
import type { Stanza } from '../../core/message/message.ts';
import type { StreamHandle } from '../stream/handle.ts';
import {
  type BarrierAnswer,
  type BarrierKind,
  buildBarrier,
  readBarrierAnswer,
} from '../wire/barrier.ts';

/** A message whose fate is not known yet, or whose caller has stopped waiting for it. */
export interface PendingMessage {
  readonly stanza: Stanza;
  /** When to tell the caller that the fate is unknown, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly settle: (error?: Error) => void;
  readonly onWrite?: (() => void) | undefined;
  isSettled: boolean;
  isBounced: boolean;
}

/** A barrier that has not been answered yet. */
interface Barrier {
  readonly kind: BarrierKind;
  /** The number of the last message that was written before it. */
  readonly covers: number;
  readonly sentAt: number;
}

/** More barriers at once would cost the server more and confirm nothing sooner. */
const maxBarriers = 4;

/** The answer to a barrier: what it means, how long it took, and which messages it confirms. */
export interface Passage {
  readonly answer: BarrierAnswer;
  readonly seconds: number;
  readonly confirmed: readonly PendingMessage[];
}

/**
 * The messages from one served domain that are in flight on one stream, and the barriers written after
 * them. Each domain has its own lane, because only its own answer shows that its state has not changed.
 */
export class Lane {
  readonly domain: string;
  /** When a barrier was last answered, on the clock of `performance.now()`. */
  lastPassed: number;
  /** The kind of the barriers that are raised from now on. */
  kind: BarrierKind;
  readonly #component: string;
  readonly #stream: Pick<StreamHandle, 'expect' | 'forget'>;
  readonly #onPassage: (lane: Lane, passage: Passage) => void;
  readonly #inFlight = new InFlight();
  readonly #barriers = new Map<string, Barrier>();
  #covered = 0;

  constructor(options: {
    readonly domain: string;
    readonly kind: BarrierKind;
    readonly component: string;
    readonly stream: Pick<StreamHandle, 'expect' | 'forget'>;
    readonly onPassage: (lane: Lane, passage: Passage) => void;
  }) {
    this.domain = options.domain;
    this.kind = options.kind;
    this.#component = options.component;
    this.#stream = options.stream;
    this.#onPassage = options.onPassage;
    this.lastPassed = performance.now();
  }

  add(message: PendingMessage): void {
    this.#inFlight.add(message);
  }

  /** Whether any message still has no barrier after it. */
  isUncovered(): boolean {
    return this.#inFlight.lastAdded > this.#covered;
  }

  /** Whether one more barrier stays within `maxBarriers`. */
  mayRaise(): boolean {
    return this.#barriers.size < maxBarriers;
  }

  /** Builds a barrier, to be written after all messages that were added so far. */
  raise(id: string): string {
    this.#covered = this.#inFlight.lastAdded;
    const { kind } = this;
    this.#barriers.set(id, { kind, covers: this.#covered, sentAt: performance.now() });
    this.#stream.expect(id, (stanza) => this.#pass(id, stanza));
    return buildBarrier(kind, id, this.#component, this.domain);
  }

  #pass(id: string, stanza: Element): void {
    const barrier = this.#barriers.get(id);
    if (barrier === undefined) return;
    const answer = readBarrierAnswer(barrier.kind, stanza, this.#component, this.domain);
    if (answer === undefined) return;
    this.lastPassed = performance.now();
    for (const older of this.#barriers.keys()) {
      this.#drop(older);
      if (older === id) break;
    }
    // After a refusal, no later answer on this stream may confirm what was written before it.
    if (answer !== 'passed') for (const later of this.#barriers.keys()) this.#drop(later);
    const confirmed = answer === 'passed' ? this.#inFlight.takeUpTo(barrier.covers) : [];
    const seconds = (this.lastPassed - barrier.sentAt) / 1000;
    this.#onPassage(this, { answer, seconds, confirmed });
  }

  #drop(id: string): void {
    this.#barriers.delete(id);
    this.#stream.forget(id);
  }

  /** The oldest message that this bounce can be the fate of. */
  findBounced(id: string, from: string, to: string): PendingMessage | undefined {
    const [source, target] = [new WrittenAddress(from), new WrittenAddress(to)];
    return this.#inFlight
      .find(id)
      .find(
        ({ stanza: { from: sender, to: recipient, isWrapped } }) =>
          (source.denotes(recipient) && target.denotes(sender)) ||
          (isWrapped && from === sender.domain && to === this.#component),
      );
  }

  /** When the oldest unanswered barrier was written. */
  oldestSentAt(): number | undefined {
    const [oldest] = this.#barriers.values();
    return oldest?.sentAt;
  }

  /** All messages, oldest first. */
  messages(): Iterable<PendingMessage> {
    return this.#inFlight.messages();
  }

  /** Takes out all messages, oldest first. */
  takeAll(): readonly PendingMessage[] {
    return this.#inFlight.takeUpTo(this.#inFlight.lastAdded);
  }
}

/** Messages in the order of writing, also found by their ids. The delivery caps how many there are. */
class InFlight {
  readonly #messages = new Map<number, PendingMessage>();
  readonly #byId = new Map<string, PendingMessage[]>();
  #added = 0;

  /** How many messages were ever added: a barrier written now covers those up to this number. */
  get lastAdded(): number {
    return this.#added;
  }

  add(message: PendingMessage): void {
    this.#added += 1;
    this.#messages.set(this.#added, message);
    const same = this.#byId.get(message.stanza.id);
    if (same === undefined) this.#byId.set(message.stanza.id, [message]);
    else same.push(message);
  }

  /** The messages with this id that have not bounced, oldest first, settled or not. */
  find(id: string): readonly PendingMessage[] {
    return (this.#byId.get(id) ?? []).filter(({ isBounced }) => !isBounced);
  }

  messages(): Iterable<PendingMessage> {
    return this.#messages.values();
  }

  /** Takes out, oldest first, all messages up to the number `last`. */
  takeUpTo(last: number): PendingMessage[] {
    const taken: PendingMessage[] = [];
    for (const [number, message] of this.#messages) {
      if (number > last) break;
      this.#messages.delete(number);
      this.#forgetId(message);
      taken.push(message);
    }
    return taken;
  }

  #forgetId(message: PendingMessage): void {
    const { id } = message.stanza;
    const same = this.#byId.get(id);
    if (same === undefined || same.length === 1) this.#byId.delete(id);
    else same.splice(same.indexOf(message), 1);
  }
}
