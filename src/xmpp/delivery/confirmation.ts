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
}

/** Without the text of the stanza, because many are watched, and for long. */
interface Watched extends Pick<Stanza, 'from' | 'to' | 'isGroupchat'> {
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
const maxAwaitingReceipts = 2000;

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
  /** Those whose callers have no answer yet and asked for a receipt. */
  readonly #awaitingReceipts = new Set<Watched>();
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

  /** Whether one more caller may wait for a receipt. */
  mayAwaitReceipt(): boolean {
    return !this.#isFinishing && this.#awaitingReceipts.size < maxAwaitingReceipts;
  }

  /** Begins to look for what comes back for the stanza. Call it before the stanza is written. */
  watch(
    { id, from, to, isGroupchat }: Pick<Stanza, 'id' | 'from' | 'to' | 'isGroupchat'>,
    confirmers: Confirmers,
  ): Watch {
    const message: Watched = {
      from,
      to,
      isGroupchat,
      outcome: 'server',
      wake: undefined,
      state: 'in flight',
      receipt: confirmers.waitMs === undefined ? 'none' : 'requested',
      onLateReceipt: undefined,
      isUnwatched: false,
      pingId: '',
      pings: 0,
    };
    if (message.receipt === 'requested') this.#awaitingReceipts.add(message);
    const key = keyOf(id, from.toString());
    const same = this.#watched.get(key) ?? [];
    answerEqual(same, to);
    unwatch(same.slice(0, 1 - maxSameId));
    this.#keep(key, [...same.slice(1 - maxSameId), message]);
    return {
      confirm: () => this.#confirm(message, confirmers),
      forget: () => {
        this.#awaitingReceipts.delete(message);
        this.#forget(key, message);
      },
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
    const found = this.#findBounced(stanza).findLast(([, { state }]) => state === 'answered');
    if (found === undefined) return false;
    const [key, message] = found;
    this.#forget(key, message);
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
    const message = this.#watched
      .get(keyOf(id, to))
      ?.find((it) => it.receipt === 'requested' && isOfRecipient(it.to, from));
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
    message.state = 'processed';
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
    const mayCome = message.receipt === 'requested' && message.state === 'processed';
    if (mayCome && this.#stream.isOpen()) await this.#wait(message, deadline - performance.now());
    return this.#answer(message);
  }

  /** Waits until there is more to know, unless the message has bounced or the gateway stops. */
  async #wait(message: Watched, timeoutMs: number, begin?: () => void): Promise<void> {
    if (message.outcome instanceof Error || this.#isFinishing) return;
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
    this.#awaitingReceipts.delete(message);
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
    const found = this.#findBounced(stanza).find(([, message]) => message.state === state);
    if (found === undefined) return false;
    const [key, message] = found;
    this.#forget(key, message);
    message.outcome = readBounce(stanza, message);
    message.wake?.();
    return true;
  }

  #findBounced(stanza: Element): readonly (readonly [string, Watched])[] {
    const { id, from, to } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return [];
    const key = keyOf(id, to);
    const same = this.#watched.get(key) ?? [];
    return same.filter((it) => isSameAddress(it.to, from)).map((it) => [key, it]);
  }

  #forget(key: string, message: Watched): void {
    const same = this.#watched.get(key) ?? [];
    this.#keep(
      key,
      same.filter((it) => it !== message),
    );
  }

  #keep(key: string, same: readonly Watched[]): void {
    if (same.length === 0) this.#watched.delete(key);
    else this.#watched.set(key, same);
  }
}

/**
 * A bounce of the new message, by our own server, could not be told from one of an earlier message to
 * the same recipient, and a refused message would be confirmed: the earlier one waits no longer.
 */
function answerEqual(messages: readonly Watched[], to: Jid): void {
  for (const message of messages) {
    if (message.state !== 'processed' || !isSameAddress(message.to, to.toString())) continue;
    message.state = 'answered';
    message.wake?.();
  }
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
