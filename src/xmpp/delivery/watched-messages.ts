import { LRUCache } from 'lru-cache';
import type { Receipt, Stanza } from '../../core/message/message.ts';

/**
 * A message whose bounce and receipt are recognised. Without the text of the stanza, because many are
 * watched, and for long.
 */
export interface Watched extends Pick<Stanza, 'from' | 'to' | 'isGroupchat'> {
  readonly key: string;
  readonly caller: string;
  /** What is known: who has confirmed it, or that it has bounced. */
  outcome: Receipt['confirmed'] | Error;
  /** Ends the wait for more. */
  wake: (() => void) | undefined;
  /** `in flight` until our own server has processed it, `answered` once its caller has an answer. */
  state: 'unwritten' | 'in flight' | 'processed' | 'answered';
  /** Whether an XEP-0184 receipt has been asked for, and has come. */
  receipt: 'none' | 'requested' | 'received';
  onLate: ((fate: 'recipient' | Error) => void) | undefined;
  /** It had to make room for others, so its bounce would not be recognised. */
  isUnwatched: boolean;
  /** An equal message was written after it, so that a bounce may be about either. */
  isFollowed: boolean;
}

/** How many messages are watched at most, and for how long. */
const maxWatched = 20_000;
const watchedMs = 10 * 60 * 1000;

/** Of the messages with the same sender and id, only the latest are watched. */
const maxSameId = 100;

/** Messages whose callers wait for receipts: each of them keeps a request, and a connection, open. */
const maxAwaitingReceipts = 4000;

/**
 * The messages that are watched: those whose callers wait for receipts, which never make room for
 * others, and the rest, of which the oldest make room.
 */
export class WatchedMessages {
  /** By sender and id; the oldest message first. */
  readonly #others = new LRUCache<string, readonly Watched[]>({
    maxSize: maxWatched,
    sizeCalculation: (same) => same.length,
    ttl: watchedMs,
    dispose: (same, _key, reason) => {
      if (reason === 'evict' || reason === 'expire') unwatch(same);
    },
  });
  /** Those whose callers wait for a receipt, by sender and id. */
  readonly #awaiting = new Map<string, readonly Watched[]>();
  /** How many of these each caller has, and all of them. */
  readonly #awaitingOf = new Map<string, number>();
  #awaitingCount = 0;

  isEmpty(): boolean {
    return this.#others.size + this.#awaitingCount === 0;
  }

  /**
   * Whether one more message of the caller may wait for a receipt: nobody takes more places than there
   * are left for others.
   */
  hasPlaceFor(caller: string): boolean {
    const free = maxAwaitingReceipts - this.#awaitingCount;
    return (this.#awaitingOf.get(caller) ?? 0) < free;
  }

  /** Those with the same sender and id; the ones that wait for receipts last. */
  findSame(id: string, from: string): readonly Watched[] {
    const key = keyOf(id, from);
    return [...(this.#others.get(key) ?? []), ...(this.#awaiting.get(key) ?? [])];
  }

  /** Adds a message; if a receipt is requested, its caller waits for it. */
  add(
    { id, from, to, isGroupchat }: Pick<Stanza, 'id' | 'from' | 'to' | 'isGroupchat'>,
    caller: string,
    receipt: 'none' | 'requested',
  ): Watched {
    const message: Watched = {
      key: keyOf(id, from.toString()),
      caller,
      from,
      to,
      isGroupchat,
      outcome: 'server',
      wake: undefined,
      state: 'unwritten',
      receipt,
      onLate: undefined,
      isUnwatched: false,
      isFollowed: false,
    };
    if (receipt === 'none') this.#addOther(message);
    else this.#addAwaiting(message);
    return message;
  }

  /** Its caller waits no longer for a receipt: from now on it makes room for others. */
  release(message: Watched): void {
    if (this.#removeAwaiting(message)) this.#addOther(message);
  }

  remove(message: Watched): void {
    if (!this.#removeAwaiting(message)) removeFrom(this.#others, message);
  }

  #addOther(message: Watched): void {
    const same = this.#others.get(message.key) ?? [];
    unwatch(same.slice(0, 1 - maxSameId));
    this.#others.set(message.key, [...same.slice(1 - maxSameId), message]);
  }

  #addAwaiting(message: Watched): void {
    const { key, caller } = message;
    this.#awaiting.set(key, [...(this.#awaiting.get(key) ?? []), message]);
    this.#awaitingCount += 1;
    this.#awaitingOf.set(caller, (this.#awaitingOf.get(caller) ?? 0) + 1);
  }

  #removeAwaiting(message: Watched): boolean {
    const { caller } = message;
    if (!removeFrom(this.#awaiting, message)) return false;
    this.#awaitingCount -= 1;
    const left = (this.#awaitingOf.get(caller) ?? 0) - 1;
    if (left > 0) this.#awaitingOf.set(caller, left);
    else this.#awaitingOf.delete(caller);
    return true;
  }
}

/** Removes the message, if it is there. */
function removeFrom(
  messages: Map<string, readonly Watched[]> | LRUCache<string, readonly Watched[]>,
  message: Watched,
): boolean {
  const same = messages.get(message.key) ?? [];
  const rest = same.filter((it) => it !== message);
  if (rest.length === same.length) return false;
  if (rest.length === 0) messages.delete(message.key);
  else messages.set(message.key, rest);
  return true;
}

function unwatch(messages: readonly Watched[]): void {
  for (const message of messages) message.isUnwatched = true;
}

/** Copied, because a slice of a string keeps the whole string alive in V8. */
function keyOf(id: string, from: string): string {
  return Buffer.from(`${from} ${id}`).toString();
}
