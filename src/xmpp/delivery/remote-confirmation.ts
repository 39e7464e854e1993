import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Element } from 'ltx';
import type { Logger } from 'pino';
import { isSameAddress, type Jid } from '../../core/jid/jid.ts';
import type { Receipt, Stanza } from '../../core/message/message.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildPing } from '../wire/iq.ts';
import { readBounce } from '../wire/outcome.ts';

/** Times in milliseconds. */
export interface RemoteConfirmationOptions {
  readonly stream: StreamHandle;
  /** How long a message waits; with 0 none waits, but late bounces are still logged. */
  readonly timeoutMs: number;
  readonly log: Logger;
  readonly onLateBounce?: () => void;
}

/** A message whose bounce is recognised. */
export interface Watch {
  /**
   * Waits until the recipient's server has processed the stanza, for as long as configured. Resolves
   * with whose server has processed it; rejects with GatewayError `bounced`.
   */
  confirm(): Promise<Receipt['confirmed']>;
  /** The stanza has been refused, so a further bounce belongs to another message. */
  forget(): void;
}

/** Without the text of the stanza, because many are watched, and for long. */
interface Watched extends Pick<Stanza, 'from' | 'to' | 'isGroupchat'> {
  settle: ((outcome: Receipt['confirmed'] | Error) => void) | undefined;
  bounce: Error | undefined;
  /** `in flight` until our own server has processed it, `answered` once its caller has an answer. */
  state: 'in flight' | 'processed' | 'answered';
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

/** Pings for one message at most. */
const maxPings = 2;

/**
 * Learns what became of messages to other servers after our own server had processed them.
 *
 * A ping (XEP-0199) from the sender's resource to the recipient's server is a barrier there: it follows
 * the message on the same server-to-server stream, and the answers come back in the same order. It goes
 * to a resource of the domain. A result comes from a server such as Prosody, which has processed the
 * message by then. ejabberd answers with an error, and its clients and rooms are separate processes that
 * may still return the message after that: a second ping gives them time, and proves nothing.
 */
export class RemoteConfirmation {
  readonly #stream: StreamHandle;
  readonly #timeoutMs: number;
  readonly #log: Logger;
  readonly #onLateBounce: (() => void) | undefined;
  /** By sender and id; the oldest message first. */
  readonly #watched = new LRUCache<string, readonly Watched[]>({
    maxSize: maxWatched,
    sizeCalculation: (same) => same.length,
    ttl: watchedMs,
    dispose: (same, _key, reason) => {
      if (reason === 'evict' || reason === 'expire') unwatch(same);
    },
  });
  readonly #awaitingServer = new Set<Watched>();
  #isFinishing = false;

  constructor({ stream, timeoutMs, log, onLateBounce }: RemoteConfirmationOptions) {
    this.#stream = stream;
    this.#timeoutMs = timeoutMs;
    this.#log = log;
    this.#onLateBounce = onLateBounce;
  }

  /** Answers every waiting caller that our own server has processed the message. */
  handleClose(): void {
    this.#settleAll();
  }

  /** The same, and lets no further caller wait. */
  finish(): void {
    this.#isFinishing = true;
    this.#settleAll();
  }

  /** Begins to look for a bounce of the stanza. Call it before the stanza is written. */
  watch({ id, from, to, isGroupchat }: Pick<Stanza, 'id' | 'from' | 'to' | 'isGroupchat'>): Watch {
    const message: Watched = {
      from,
      to,
      isGroupchat,
      settle: undefined,
      bounce: undefined,
      state: 'in flight',
      isUnwatched: false,
      pingId: '',
      pings: 0,
    };
    const key = keyOf(id, from.toString());
    const same = this.#watched.get(key) ?? [];
    answerEqual(same, to);
    unwatch(same.slice(0, 1 - maxSameId));
    this.#keep(key, [...same.slice(1 - maxSameId), message]);
    return {
      confirm: () => this.#confirm(message),
      forget: () => this.#forget(key, message),
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
    this.#onLateBounce?.();
    const { id, to: sender } = stanza.attrs;
    const { condition, type } = readBounce(stanza, message).options.stanzaError ?? {};
    const recipientDomain = message.to.domain;
    this.#log.warn({ id, sender, recipientDomain, condition, type }, 'bounced after the answer');
    return true;
  }

  async #confirm(message: Watched): Promise<Receipt['confirmed']> {
    message.state = 'processed';
    const outcome =
      message.bounce ?? (this.#timeoutMs > 0 ? await this.#awaitServer(message) : 'server');
    message.state = 'answered';
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  async #awaitServer(message: Watched): Promise<Receipt['confirmed'] | Error> {
    if (this.#isFinishing || this.#stream.isBlocked()) return 'server';
    if (this.#awaitingServer.size >= maxWatched) return 'server';
    let timer: NodeJS.Timeout | undefined;
    const outcome = await new Promise<Receipt['confirmed'] | Error>((settle) => {
      message.settle = settle;
      this.#awaitingServer.add(message);
      timer = setTimeout(settle, this.#timeoutMs, 'server');
      this.#ping(message);
    });
    clearTimeout(timer);
    message.settle = undefined;
    this.#awaitingServer.delete(message);
    this.#stream.forget(message.pingId);
    return outcome;
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
    // Now, and not when the caller goes on, because the next bounce may be in the same chunk.
    message.state = 'answered';
    message.settle?.(isError || message.isUnwatched ? 'server' : 'remote');
  }

  #settleAll(): void {
    for (const { settle } of this.#awaitingServer) settle?.('server');
  }

  #refuse(stanza: Element, state: Watched['state']): boolean {
    const found = this.#findBounced(stanza).find(([, message]) => message.state === state);
    if (found === undefined) return false;
    const [key, message] = found;
    this.#forget(key, message);
    message.bounce = readBounce(stanza, message);
    message.settle?.(message.bounce);
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
    message.settle?.('server');
  }
}

function unwatch(messages: readonly Watched[]): void {
  for (const message of messages) message.isUnwatched = true;
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
