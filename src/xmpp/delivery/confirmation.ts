import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Element } from 'ltx';
import type { Logger } from 'pino';
import { bareOf, isSameAddress, type Jid } from '../../core/jid/jid.ts';
import {
  type Arrival,
  type Receipt,
  receiptsNamespace,
  type Stanza,
} from '../../core/message/message.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildPing } from '../wire/iq.ts';
import { readBounce } from '../wire/outcome.ts';

/** Times in milliseconds. */
export interface ConfirmationsOptions {
  readonly stream: StreamHandle;
  /** How long a message waits for a remote server; with 0 none waits, but late bounces are logged. */
  readonly remoteMs: number;
  readonly log: Logger;
  readonly onLateBounce?: () => void;
  readonly onLateReceipt?: () => void;
}

type Confirmed = Receipt['confirmed'];

/** From whom a message gets a confirmation, beside our own server. */
export interface Confirmers {
  /** Whether the recipient's server is another one. */
  readonly isRemote: boolean;
  /** How long its caller waits for an XEP-0184 receipt; undefined if none was asked for. */
  readonly waitMs: number | undefined;
  readonly caller: string;
}

/** A message whose bounce and receipt are recognised. */
export interface Watch {
  /**
   * Our own server has processed the stanza: waits for the recipient's server, for as long as
   * configured. Then the wait for the receipt goes on. Rejects with GatewayError `bounced`.
   */
  confirm(): Promise<{
    readonly confirmed: Confirmed;
    readonly arrival: Arrival | undefined;
  }>;
  /** The stanza has been refused, so a further bounce belongs to another message. */
  forget(): void;
  /** Whether its receipt has come, which may be before the answer of our own server. */
  hasReceipt(): boolean;
}

/** Without the text of the stanza, because many are watched, and for long. */
interface Watched extends Pick<Stanza, 'from' | 'to' | 'isGroupchat'> {
  readonly key: string;
  readonly caller: string;
  /** What is known: who has confirmed it, or that it has bounced. */
  outcome: Confirmed | Error;
  /** Ends the wait for more. */
  wake: (() => void) | undefined;
  /** `in flight` until our own server has processed it, `answered` once its caller has an answer. */
  state: 'in flight' | 'processed' | 'answered';
  /** Whether an XEP-0184 receipt has been asked for, and has come. */
  receipt: 'none' | 'requested' | 'received';
  onLateReceipt: (() => void) | undefined;
  /** It had to make room for others, so its bounce would not be recognised. */
  isUnwatched: boolean;
  /** An equal message was written after it, so that a bounce may be about either. */
  isFollowed: boolean;
  /** The id of the last ping, and how many pings were written. */
  pingId: string;
  pings: number;
}

/** How many messages are watched at most, and for how long. */
const maxWatched = 20_000;
const watchedMs = 10 * 60 * 1000;

/** Of the messages with the same sender and id, only the latest are watched. */
const maxSameId = 100;

/** Messages whose callers wait for receipts: each of them keeps a request, and a connection, open. */
const maxAwaitingReceipts = 4000;

/** Pings for one message at most. */
const maxPings = 2;

/**
 * Learns what became of messages after our own server had processed them: from the recipient's server,
 * or from the recipient's client.
 *
 * A ping (XEP-0199) from the sender's resource to the recipient's server is a barrier there: it follows
 * the message on the same server-to-server stream, and the answers come back in the same order. It goes
 * to a resource of the domain. A result comes from a server such as Prosody, which has processed the
 * message by then. ejabberd answers with an error, and its clients and rooms are separate processes that
 * may still return the message after that: a second ping gives them time, and proves nothing.
 *
 * A receipt (XEP-0184) comes from the recipient's client to the sender's resource, with the id of the
 * message, possibly before our own server has answered the barrier.
 */
export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #stream: StreamHandle;
  /** By sender and id; the oldest message first. */
  readonly #watched = new LRUCache<string, readonly Watched[]>({
    maxSize: maxWatched,
    sizeCalculation: (same) => same.length,
    ttl: watchedMs,
    dispose: (same, _key, reason) => {
      if (reason === 'evict' || reason === 'expire') unwatch(same);
    },
  });
  readonly #waiting = new Set<Watched>();
  /** Those whose callers wait for a receipt, by sender and id. They never make room for others. */
  readonly #awaitingReceipts = new Map<string, readonly Watched[]>();
  /** How many of these each caller has. */
  readonly #awaitingOf = new Map<string, number>();
  #awaiting = 0;
  #isFinishing = false;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
    this.#stream = options.stream;
  }

  /** Answers every waiting caller with what is known. */
  handleClose(): void {
    for (const { wake } of this.#waiting) wake?.();
  }

  /** The same, and lets no further caller wait. */
  finish(): void {
    this.#isFinishing = true;
    this.handleClose();
  }

  /**
   * Whether one more message of the caller may wait for a receipt: nobody takes more places than there
   * are left for others.
   */
  mayAwaitReceipt(caller: string): boolean {
    const free = maxAwaitingReceipts - this.#awaiting;
    return !this.#isFinishing && (this.#awaitingOf.get(caller) ?? 0) < free;
  }

  /**
   * A message is about to be written. A bounce of it, by our own server, could not be told from one of
   * an earlier message with the same addresses and id, and a refused message would be confirmed: the
   * earlier one waits no longer.
   */
  handleNext({ id, from, to }: Pick<Stanza, 'id' | 'from' | 'to'>): void {
    if (this.#watched.size + this.#awaiting === 0) return;
    for (const message of this.#same(keyOf(id, from.toString()))) {
      if (message.state === 'answered' || !isSameAddress(message.to, to.toString())) continue;
      message.isFollowed = true;
      if (message.state === 'processed') message.state = 'answered';
      message.wake?.();
    }
  }

  /** Begins to look for what comes back for the stanza. Call it after `handleNext`, before it is written. */
  watch(
    { id, from, to, isGroupchat }: Pick<Stanza, 'id' | 'from' | 'to' | 'isGroupchat'>,
    confirmers: Confirmers,
  ): Watch {
    const key = keyOf(id, from.toString());
    const message: Watched = {
      key,
      caller: confirmers.caller,
      from,
      to,
      isGroupchat,
      outcome: 'server',
      wake: undefined,
      state: 'in flight',
      receipt: confirmers.waitMs === undefined ? 'none' : 'requested',
      onLateReceipt: undefined,
      isUnwatched: false,
      isFollowed: false,
      pingId: '',
      pings: 0,
    };
    if (message.receipt === 'none') this.#watchWithoutReceipt(message);
    else this.#addAwaiting(message);
    return {
      confirm: () => this.#confirm(message, confirmers),
      forget: () => this.#forget(message),
      hasReceipt: () => message.receipt === 'received',
    };
  }

  /** Takes the bounce of a message that our own server has processed and whose caller still waits. */
  takeBounceOfProcessed(stanza: Element): boolean {
    return this.#refuse(stanza, 'processed');
  }

  /** Takes the bounce of a message that our own server has just processed, before its caller went on. */
  takeBounceOfInFlight(stanza: Element): boolean {
    return this.#refuse(stanza, 'in flight');
  }

  /** Takes the bounce of a message whose caller has been answered already, and logs it. */
  takeLateBounce(stanza: Element): boolean {
    const message = this.#findBounced(stanza).findLast(({ state }) => state === 'answered');
    if (message === undefined) return false;
    this.#forget(message);
    this.#options.onLateBounce?.();
    const { id, to: sender } = stanza.attrs;
    const { condition, type } = readBounce(stanza, message).options.stanzaError ?? {};
    const recipientDomain = message.to.domain;
    this.#options.log.warn(
      { id, sender, recipientDomain, condition, type },
      'bounced after the answer',
    );
    return true;
  }

  /**
   * Takes the receipt of a message, of several equal ones the oldest. Any client of the recipient may
   * send it, and only the first one counts; it is logged if the caller has been answered already.
   */
  takeReceipt(stanza: Element): boolean {
    const id = stanza.getChild('received', receiptsNamespace)?.attrs['id'];
    const { from, to } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return false;
    const message = this.#same(keyOf(id, to)).find(
      (it) => it.receipt === 'requested' && isOfRecipient(it.to, from),
    );
    if (message === undefined) return false;
    message.receipt = 'received';
    if (message.state !== 'answered') {
      message.outcome = 'recipient';
      message.wake?.();
      return true;
    }
    this.#options.onLateReceipt?.();
    message.onLateReceipt?.();
    const recipientDomain = message.to.domain;
    this.#options.log.info({ id, sender: to, recipientDomain }, 'receipt after the answer');
    return true;
  }

  async #confirm(
    message: Watched,
    { isRemote, waitMs }: Confirmers,
  ): Promise<{ confirmed: Confirmed; arrival: Arrival | undefined }> {
    message.state = message.isFollowed ? 'answered' : 'processed';
    const deadline = performance.now() + (waitMs ?? 0);
    if (isRemote) await this.#awaitServer(message);
    if (waitMs === undefined) return { confirmed: this.#answer(message), arrival: undefined };
    // The caller may not look at it at once, or at all.
    const confirmed = this.#awaitReceipt(message, deadline);
    confirmed.catch(() => undefined);
    if (message.outcome instanceof Error) throw message.outcome;
    const onLate = (callback: () => void): void => void (message.onLateReceipt = callback);
    return { confirmed: message.outcome, arrival: { confirmed, onLate } };
  }

  async #awaitServer(message: Watched): Promise<void> {
    const { remoteMs } = this.#options;
    if (remoteMs === 0 || message.outcome !== 'server') return;
    if (this.#stream.isBlocked() || this.#waiting.size >= maxWatched) return;
    await this.#wait(message, remoteMs, () => this.#ping(message));
    this.#stream.forget(message.pingId);
  }

  async #awaitReceipt(message: Watched, deadline: number): Promise<Confirmed> {
    const isDelivered = !hasBounced(message);
    if (message.receipt === 'requested' && this.#stream.isOpen()) {
      await this.#wait(message, deadline - performance.now());
    }
    // It has been counted as a success before.
    if (isDelivered && hasBounced(message)) this.#options.onLateBounce?.();
    return this.#answer(message);
  }

  /** Waits until there is more to know, unless the message has bounced or the gateway stops. */
  async #wait(message: Watched, timeoutMs: number, begin?: () => void): Promise<void> {
    if (message.outcome instanceof Error || message.state !== 'processed') return;
    if (this.#isFinishing) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      message.wake = resolve;
      this.#waiting.add(message);
      timer = setTimeout(resolve, timeoutMs);
      begin?.();
    });
    clearTimeout(timer);
    message.wake = undefined;
    this.#waiting.delete(message);
  }

  /** What the caller learns. */
  #answer(message: Watched): Confirmed {
    message.state = 'answered';
    if (this.#removeAwaiting(message)) this.#watchWithoutReceipt(message);
    if (message.outcome instanceof Error) throw message.outcome;
    return message.outcome;
  }

  #ping(message: Watched): void {
    this.#stream.forget(message.pingId);
    message.pings += 1;
    message.pingId = `remote-${randomBytes(12).toString('hex')}`;
    const to = addressOf(message);
    this.#stream.expect(message.pingId, (stanza) => {
      if (stanza.attrs['from'] === to) this.#handleAnswer(message, stanza);
    });
    const from = escapeAttribute(message.from.toString());
    this.#stream.write(buildPing(message.pingId, from, to));
  }

  #handleAnswer(message: Watched, stanza: Element): void {
    const isError = stanza.attrs['type'] === 'error';
    if (isError && !isOfRemoteServer(stanza)) return;
    if (isError && message.pings < maxPings) {
      this.#ping(message);
      return;
    }
    const isNew = message.state === 'processed' && message.outcome === 'server';
    if (isNew && !isError && !message.isUnwatched) message.outcome = 'remote';
    // Now, and not when the caller goes on, because the next bounce may be in the same chunk.
    if (message.receipt === 'none') message.state = 'answered';
    message.wake?.();
  }

  #refuse(stanza: Element, state: Watched['state']): boolean {
    const message = this.#findBounced(stanza).find((it) => it.state === state);
    if (message === undefined) return false;
    this.#forget(message);
    message.outcome = readBounce(stanza, message);
    message.wake?.();
    return true;
  }

  #findBounced(stanza: Element): readonly Watched[] {
    const { id, from, to } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return [];
    return this.#same(keyOf(id, to)).filter((it) => isSameAddress(it.to, from));
  }

  /** Those with the same sender and id. The ones that wait for receipts are the latest. */
  #same(key: string): readonly Watched[] {
    return [...(this.#watched.get(key) ?? []), ...(this.#awaitingReceipts.get(key) ?? [])];
  }

  #watchWithoutReceipt(message: Watched): void {
    const same = this.#watched.get(message.key) ?? [];
    unwatch(same.slice(0, 1 - maxSameId));
    this.#watched.set(message.key, [...same.slice(1 - maxSameId), message]);
  }

  #addAwaiting(message: Watched): void {
    const { key, caller } = message;
    this.#awaitingReceipts.set(key, [...(this.#awaitingReceipts.get(key) ?? []), message]);
    this.#awaiting += 1;
    this.#awaitingOf.set(caller, (this.#awaitingOf.get(caller) ?? 0) + 1);
  }

  #removeAwaiting(message: Watched): boolean {
    const { caller } = message;
    if (!removeFrom(this.#awaitingReceipts, message)) return false;
    this.#awaiting -= 1;
    const left = (this.#awaitingOf.get(caller) ?? 0) - 1;
    if (left > 0) this.#awaitingOf.set(caller, left);
    else this.#awaitingOf.delete(caller);
    return true;
  }

  #forget(message: Watched): void {
    if (!this.#removeAwaiting(message)) removeFrom(this.#watched, message);
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

function hasBounced({ outcome }: Watched): boolean {
  return outcome instanceof Error;
}

function unwatch(messages: readonly Watched[]): void {
  for (const message of messages) message.isUnwatched = true;
}

/** Whether `from` is the recipient; if that is a bare JID, any client there. */
function isOfRecipient(to: Jid, from: string): boolean {
  return isSameAddress(to, to.resource === undefined ? bareOf(from) : from);
}

/**
 * Our own server answers in place of the remote one when it cannot reach it, when its queue of stanzas
 * to it is full (type `wait`), and when it refuses the sender.
 */
function isOfRemoteServer(error: Element): boolean {
  if (isSenderRefusal(error)) return false;
  const { condition, type } = readStanzaError(error);
  return type !== 'wait' && !condition.startsWith('remote-server-');
}

function addressOf({ to }: Watched): string {
  return `${to.domain}/gateway`;
}

/** Copied, because a slice of a string keeps the whole string alive in V8. */
function keyOf(id: string, from: string): string {
  return Buffer.from(`${from} ${id}`).toString();
}
