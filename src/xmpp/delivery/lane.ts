import type { Element } from 'ltx';
import { isSameAddress } from '../../core/jid/jid.ts';
import type { Stanza } from '../../core/message/message.ts';
import {
  type BarrierAnswer,
  type BarrierKind,
  buildBarrier,
  readBarrierAnswer,
} from '../wire/barrier.ts';

/** A barrier that has not been answered yet. */
interface Barrier {
  readonly covers: number;
  readonly sentAt: number;
}

/** More barriers at once cost the server more and confirm nothing sooner. */
export const maxBarriers = 4;

/** The answer to a barrier: what it means, how long it took, and which messages it confirms. */
export interface Passage {
  readonly answer: BarrierAnswer;
  readonly seconds: number;
  readonly confirmed: readonly Entry[];
}

/**
 * The messages from one served domain that are in flight on one stream, and the barriers behind
 * them. Each domain has its own: only its own answer shows that it still is as it was.
 */
export class Lane {
  readonly domain: string;
  /** When the last barrier was answered, on the clock of `performance.now()`. */
  lastPassed: number;
  readonly #kind: BarrierKind;
  readonly #component: string;
  readonly #inFlight = createInFlight();
  readonly #barriers = new Map<string, Barrier>();
  #covered = 0;

  constructor(domain: string, kind: BarrierKind, component: string) {
    this.domain = domain;
    this.#kind = kind;
    this.#component = component;
    this.lastPassed = performance.now();
  }

  add(entry: Entry): void {
    this.#inFlight.add(entry);
  }

  /** Whether messages were written behind which there is no barrier yet. */
  isUncovered(): boolean {
    return this.#inFlight.lastAdded > this.#covered;
  }

  /** Whether another barrier would not be one too many. */
  mayRaise(): boolean {
    return this.#barriers.size < maxBarriers;
  }

  /** A barrier behind all that was written so far. */
  raise(id: string): string {
    this.#covered = this.#inFlight.lastAdded;
    this.#barriers.set(id, { covers: this.#covered, sentAt: performance.now() });
    return buildBarrier(this.#kind, id, this.#component, this.domain);
  }

  /** Reads a barrier's answer; undefined when the stanza is none. */
  pass(stanza: Element): Passage | undefined {
    const { id } = stanza.attrs;
    const barrier = id === undefined ? undefined : this.#barriers.get(id);
    if (id === undefined || barrier === undefined) return undefined;
    const answer = readBarrierAnswer(this.#kind, stanza, this.#component, this.domain);
    if (answer === undefined) return undefined;
    this.lastPassed = performance.now();
    for (const older of this.#barriers.keys()) {
      this.#barriers.delete(older);
      if (older === id) break;
    }
    // Later answers on this stream say nothing of what was written before this one.
    if (answer !== 'passed') this.#barriers.clear();
    const confirmed = answer === 'passed' ? this.#inFlight.takeUpTo(barrier.covers) : [];
    return { answer, seconds: (this.lastPassed - barrier.sentAt) / 1000, confirmed };
  }

  /** The oldest message that bounces with this stanza. */
  findBounced(id: string, from: string, to: string): Entry | undefined {
    return this.#inFlight
      .find(id)
      .find(
        ({ stanza: { from: sender, to: recipient, isWrapped } }) =>
          (isSameAddress(recipient, from) && isSameAddress(sender, to)) ||
          (isWrapped && from === sender.domain && to === this.#component),
      );
  }

  /** When the oldest barrier without an answer was written. */
  oldestSentAt(): number | undefined {
    const [oldest] = this.#barriers.values();
    return oldest?.sentAt;
  }

  /** All messages, oldest first. */
  entries(): Iterable<Entry> {
    return this.#inFlight.entries();
  }

  /** Takes out all messages, oldest first. */
  takeAll(): readonly Entry[] {
    return this.#inFlight.takeUpTo(this.#inFlight.lastAdded);
  }
}

/** A message whose fate is not known yet, or whose caller has stopped waiting for it. */
export interface Entry {
  readonly stanza: Stanza;
  /** When the caller is told that the fate is unknown, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly settle: (error?: Error) => void;
  isSettled: boolean;
  isBounced: boolean;
}

/** Messages in the order of writing, also found by their ids. */
interface InFlight {
  readonly count: number;
  readonly bytes: number;
  /** Number of all messages added so far: a barrier written now covers those up to it. */
  readonly lastAdded: number;
  add(entry: Entry): void;
  /** The messages with the id that have not bounced, oldest first; whoever waits for them or not. */
  find(id: string): readonly Entry[];
  /** All messages, oldest first. */
  entries(): Iterable<Entry>;
  /** Takes out, oldest first, all messages up to the number `last`. */
  takeUpTo(last: number): Entry[];
}

/** Creates an empty collection; the caller caps it by `count` and `bytes`. */
function createInFlight(): InFlight {
  const entries = new Map<number, Entry>();
  const byId = new Map<string, Entry[]>();
  let added = 0;
  let bytes = 0;

  const forget = (entry: Entry): void => {
    const same = byId.get(entry.stanza.id);
    if (same === undefined || same.length === 1) {
      byId.delete(entry.stanza.id);
    } else {
      same.splice(same.indexOf(entry), 1);
    }
  };

  return {
    get count() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    get lastAdded() {
      return added;
    },
    add: (entry) => {
      added += 1;
      bytes += entry.stanza.bytes;
      entries.set(added, entry);
      const same = byId.get(entry.stanza.id);
      if (same === undefined) {
        byId.set(entry.stanza.id, [entry]);
      } else {
        same.push(entry);
      }
    },
    find: (id) => (byId.get(id) ?? []).filter((entry) => !entry.isBounced),
    entries: () => entries.values(),
    takeUpTo: (last) => {
      const taken: Entry[] = [];
      for (const [number, entry] of entries) {
        if (number > last) {
          break;
        }
        entries.delete(number);
        bytes -= entry.stanza.bytes;
        forget(entry);
        taken.push(entry);
      }
      return taken;
    },
  };
}
