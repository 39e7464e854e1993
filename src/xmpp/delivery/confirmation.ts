import type { Element } from 'ltx';
import type { Logger } from 'pino';
import { bareOf, WrittenAddress } from '../../core/jid/jid.ts';
import {
  type Arrival,
  type Receipt,
  receiptsNamespace,
  type Stanza,
} from '../../core/message/message.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { readBounce } from '../wire/gateway-errors.ts';
import { pingRecipientServer } from './remote-ping.ts';
import { type Watched, WatchedMessages } from './watched-messages.ts';

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
  /** The stanza is about to be written, so that a bounce or a receipt may come. Call `handleNext` first. */
  begin(): void;
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

/** Callers that wait for remote servers at the same time. */
const maxWaiting = 20_000;

/** What their messages take in memory meanwhile, in bytes. */
const maxWaitingBytes = 32 * 1024 * 1024;

/**
 * Learns what became of messages after our own server had processed them: from the recipient's server,
 * which answers a ping, or from the recipient's client. Its receipt (XEP-0184) comes to the sender's
 * resource, with the id of the message, possibly before our own server has answered the barrier.
 */
export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #stream: StreamHandle;
  readonly #watched = new WatchedMessages();
  readonly #waiting = new Set<Watched>();
  #waitingBytes = 0;
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

  /** Whether one more message of the caller may wait for a receipt. */
  mayAwaitReceipt(caller: string): boolean {
    return !this.#isFinishing && this.#watched.hasPlaceFor(caller);
  }

  /**
   * A message is about to be written. If our own server returned it, the bounce could be taken for one
   * of an earlier message with the same addresses and id, and a refused message would be confirmed. So
   * the earlier one waits no longer.
   */
  handleNext({ id, from, to }: Pick<Stanza, 'id' | 'from' | 'to'>): void {
    if (this.#watched.isEmpty()) return;
    const recipient = new WrittenAddress(to.toString());
    for (const message of this.#watched.findSame(id, from.toString())) {
      if (message.state === 'unwritten' || message.state === 'answered') continue;
      if (!recipient.denotes(message.to)) continue;
      message.isFollowed = true;
      if (message.state === 'processed') message.state = 'answered';
      message.wake?.();
    }
  }

  /** Keeps a place for the stanza, to look for what comes back for it once it is written. */
  watch(
    stanza: Pick<Stanza, 'id' | 'from' | 'to' | 'isGroupchat' | 'heldBytes'>,
    confirmers: Confirmers,
  ): Watch {
    const receipt = confirmers.waitMs === undefined ? 'none' : 'requested';
    const message = this.#watched.add(stanza, confirmers.caller, receipt);
    return {
      begin: () => void (message.state = 'in flight'),
      confirm: () => this.#confirm(message, stanza.heldBytes, confirmers),
      forget: () => this.#watched.remove(message),
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
    this.#watched.remove(message);
    this.#options.onLateBounce?.();
    const { id, to: sender } = stanza.attrs;
    const bounce = readBounce(stanza, message);
    message.onLate?.(bounce);
    const { condition, type } = bounce.options.stanzaError ?? {};
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
    const same = this.#watched.findSame(id, to).filter(({ state }) => state !== 'unwritten');
    // If the recipient is a bare JID, any client there counts.
    const [client, account] = [new WrittenAddress(from), new WrittenAddress(bareOf(from))];
    const message = same.find(
      (it) =>
        it.receipt === 'requested' &&
        (it.to.resource === undefined ? account : client).denotes(it.to),
    );
    if (message === undefined) return false;
    message.receipt = 'received';
    if (message.state !== 'answered') {
      message.outcome = 'recipient';
      message.wake?.();
      return true;
    }
    this.#options.onLateReceipt?.();
    message.onLate?.('recipient');
    const recipientDomain = message.to.domain;
    this.#options.log.info({ id, sender: to, recipientDomain }, 'receipt after the answer');
    return true;
  }

  async #confirm(
    message: Watched,
    bytes: number,
    { isRemote, waitMs }: Confirmers,
  ): Promise<{ confirmed: Confirmed; arrival: Arrival | undefined }> {
    message.state = message.isFollowed ? 'answered' : 'processed';
    const deadline = performance.now() + (waitMs ?? 0);
    if (isRemote) await this.#awaitServer(message, bytes);
    if (waitMs === undefined) return { confirmed: this.#answer(message), arrival: undefined };
    // The caller may not look at it at once, or at all.
    const confirmed = this.#awaitReceipt(message, deadline);
    confirmed.catch(() => undefined);
    if (message.outcome instanceof Error) throw message.outcome;
    const arrival: Arrival = {
      confirmed,
      onLate: (callback) => void (message.onLate = callback),
      end: () => message.wake?.(),
    };
    return { confirmed: message.outcome, arrival };
  }

  async #awaitServer(message: Watched, bytes: number): Promise<void> {
    const { remoteMs } = this.#options;
    if (remoteMs === 0 || message.outcome !== 'server') return;
    if (this.#stream.isBlocked() || this.#waiting.size >= maxWaiting) return;
    if (this.#waitingBytes + bytes > maxWaitingBytes) return;
    this.#waitingBytes += bytes;
    await this.#wait(message, remoteMs, () =>
      pingRecipientServer(this.#stream, message, (isProven) =>
        this.#handleAnswer(message, isProven),
      ),
    );
    this.#waitingBytes -= bytes;
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

  /**
   * Waits until there is more to know, unless the message has bounced or the gateway stops. `ask` begins
   * to ask for it, and returns what ends that.
   */
  async #wait(message: Watched, timeoutMs: number, ask?: () => () => void): Promise<void> {
    if (message.outcome instanceof Error || message.state !== 'processed') return;
    if (this.#isFinishing) return;
    const woken = new Promise<void>((resolve) => {
      message.wake = resolve;
    });
    this.#waiting.add(message);
    const timer = setTimeout(() => message.wake?.(), timeoutMs);
    const stopAsking = ask?.();
    await woken;
    clearTimeout(timer);
    stopAsking?.();
    message.wake = undefined;
    this.#waiting.delete(message);
  }

  /** What the caller learns. */
  #answer(message: Watched): Confirmed {
    message.state = 'answered';
    this.#watched.release(message);
    if (message.outcome instanceof Error) throw message.outcome;
    return message.outcome;
  }

  #handleAnswer(message: Watched, isProven: boolean): void {
    const isNew = message.state === 'processed' && message.outcome === 'server';
    if (isNew && isProven && !message.isUnwatched) message.outcome = 'remote';
    // Now, and not when the caller goes on, because the next bounce may be in the same chunk.
    if (message.receipt === 'none') message.state = 'answered';
    message.wake?.();
  }

  #refuse(stanza: Element, state: Watched['state']): boolean {
    const message = this.#findBounced(stanza).find((it) => it.state === state);
    if (message === undefined) return false;
    this.#watched.remove(message);
    message.outcome = readBounce(stanza, message);
    message.wake?.();
    return true;
  }

  #findBounced(stanza: Element): readonly Watched[] {
    const { id, from, to } = stanza.attrs;
    if (id === undefined || from === undefined || to === undefined) return [];
    const source = new WrittenAddress(from);
    return this.#watched.findSame(id, to).filter((it) => source.denotes(it.to));
  }
}

function hasBounced({ outcome }: Watched): boolean {
  return outcome instanceof Error;
}
