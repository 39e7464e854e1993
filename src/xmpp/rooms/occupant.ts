import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { resourceOf } from '../../core/jid/jid.ts';
import type { Stanza } from '../../core/message/message.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { readBounce, unavailable, unknown } from '../wire/gateway-errors.ts';
import { RoomEntry, type RoomSeat } from './entry.ts';
import { buildLeave, readNewSubject, readOwnPresence } from './stanzas.ts';

/** Times in milliseconds. */
export interface RoomOccupantOptions {
  readonly stream: StreamHandle;
  /** Whose message made the occupant join. */
  readonly caller: string;
  /** The domain of the sender that it stands for. */
  readonly senderDomain: string;
  readonly seat: RoomSeat;
  /** How long a message may take, and how long joining may take. */
  readonly timeoutMs: number;
  /** After how long without a message the occupant leaves. */
  readonly idleMs: number;
  /** Writes a message, and resolves when our own server has processed it. */
  readonly deliverToServer: (stanza: Stanza) => Promise<void>;
  /** The occupant is not in the room, and no message waits for it. */
  readonly onGone: () => void;
}

/** A message on its way into the room. */
interface RoomMessage {
  readonly stanza: Stanza;
  settle: (error?: unknown) => void;
  /** Whether our own server has processed it. */
  isProcessed: boolean;
  /** Whether the room has refused it once, because the occupant had lost its place. */
  isRepeated: boolean;
}

/**
 * One sender in one room. It joins with the first message, and again whenever the room turns out not
 * to know the occupant any more (it was kicked, or the room's server was restarted).
 */
export class RoomOccupant {
  readonly #options: RoomOccupantOptions;
  #waiting: RoomMessage[] = [];
  #written: RoomMessage[] = [];
  #entry: RoomEntry | undefined;
  /** The nick, as long as the occupant is in the room. */
  #nick: string | undefined;
  /** Whether the room has not told its subject yet, as it does to everybody who enters (XEP-0045 §7.2.15). */
  #isSubjectDue = false;
  #idle: NodeJS.Timeout | undefined;
  #isDismissed = false;

  constructor(options: RoomOccupantOptions) {
    this.#options = options;
  }

  get caller(): string {
    return this.#options.caller;
  }

  get senderDomain(): string {
    return this.#options.senderDomain;
  }

  /** Resolves when the room has reflected the message; messages keep the order of the calls. */
  deliver(stanza: Stanza): Promise<void> {
    return new Promise((resolve, reject) => {
      clearTimeout(this.#idle);
      const message: RoomMessage = {
        stanza,
        settle: (error) => {
          clearTimeout(deadline);
          message.settle = () => {};
          this.#waiting = this.#waiting.filter((it) => it !== message);
          this.#written = this.#written.filter((it) => it !== message);
          if (error === undefined) resolve();
          else reject(error);
          this.#proceed();
        },
        isProcessed: false,
        isRepeated: false,
      };
      const deadline = setTimeout(
        () => message.settle(this.#timedOut(message)),
        this.#options.timeoutMs,
      );
      this.#waiting.push(message);
      this.#proceed();
    });
  }

  /** Takes a message or a presence that the room sends to the occupant. */
  handleStanza(stanza: Element): void {
    if (stanza.is('message')) this.#handleMessage(stanza);
    else if (this.#entry === undefined) this.#handlePresence(stanza);
    else this.#entry.handlePresence(stanza);
  }

  /** Whether the occupant has no message to deliver. */
  isIdle(): boolean {
    return this.#waiting.length + this.#written.length === 0;
  }

  /** Whether the room has not let the occupant in yet, so that no message is written. */
  isEntering(): boolean {
    return this.#entry !== undefined;
  }

  /** The stream is lost. As far as anybody knows, the occupant is still in the room. */
  handleClose(reason: string): void {
    this.#cancelEntry();
    const unwritten = this.#waiting.splice(0);
    const processed = this.#written.filter(({ isProcessed }) => isProcessed);
    // The others are settled when `deliverToServer` rejects.
    settleAll(processed, unknown(reason));
    settleAll(unwritten, unavailable(reason));
    this.#proceed();
  }

  /** Leaves as soon as it has no message to deliver. */
  dismiss(): void {
    this.#isDismissed = true;
    if (this.isIdle()) this.leave();
  }

  /** Messages that wait to be written are refused with `error`. */
  leave(error: GatewayError = unavailable('the gateway is leaving the room')): void {
    clearTimeout(this.#idle);
    this.#cancelEntry();
    const { seat, stream, onGone } = this.#options;
    if (this.#nick !== undefined) stream.write(buildLeave(seat.jid, `${seat.room}/${this.#nick}`));
    this.#nick = undefined;
    if (this.isIdle()) onGone();
    else settleAll(this.#waiting.splice(0), error);
  }

  #timedOut(message: RoomMessage): Error {
    const { timeoutMs } = this.#options;
    return this.#written.includes(message)
      ? unknown(`the room did not reflect it within ${timeoutMs} ms`)
      : unavailable(`the room did not let the sender in within ${timeoutMs} ms`);
  }

  #proceed(): void {
    if (this.#nick !== undefined) {
      for (const message of this.#waiting.splice(0)) void this.#write(message);
      if (this.#written.length > 0) return;
      if (this.#isDismissed) this.leave();
      else this.#startIdle();
    } else if (this.#entry === undefined && this.#written.length === 0) {
      if (this.#waiting.length > 0) this.#enter();
      else this.#options.onGone();
    }
  }

  async #write(message: RoomMessage): Promise<void> {
    this.#written.push(message);
    message.isProcessed = false;
    try {
      await this.#options.deliverToServer(message.stanza);
      message.isProcessed = true;
    } catch (error) {
      this.#refuse(message, error);
    }
  }

  #enter(): void {
    const { seat, stream, timeoutMs } = this.#options;
    this.#entry = new RoomEntry({
      stream,
      seat,
      timeoutMs,
      onEntered: (nick) => {
        this.#entry = undefined;
        this.#nick = nick;
        this.#isSubjectDue = true;
        this.#proceed();
      },
      onRefused: (error) => {
        this.#entry = undefined;
        settleAll(this.#waiting.splice(0), error);
        this.#proceed();
      },
    });
  }

  #cancelEntry(): void {
    this.#entry?.cancel();
    this.#entry = undefined;
  }

  #refuse(message: RoomMessage, error: unknown): void {
    if (!this.#written.includes(message) || message.isRepeated || !isForStrangers(error)) {
      message.settle(error);
      return;
    }
    // All messages written after this one are refused as well. Repeated ones go first, in their order.
    this.#nick = undefined;
    message.isRepeated = true;
    this.#written = this.#written.filter((it) => it !== message);
    const place = this.#waiting.findIndex(({ isRepeated }) => !isRepeated);
    this.#waiting.splice(place === -1 ? this.#waiting.length : place, 0, message);
    this.#proceed();
  }

  #handleMessage(stanza: Element): void {
    const { id, from, type } = stanza.attrs;
    const speaker = resourceOf(String(from));
    const isOwn = type === 'groupchat' && this.#nick !== undefined && speaker === this.#nick;
    // An error from a nick is not the room's: rooms relay errors between occupants (XEP-0045 §7.5).
    const isRefusal = type === 'error' && speaker === undefined;
    const newSubject = this.#takeNewSubject(stanza);
    if (!isOwn && !isRefusal) return;
    // Prosody reflects a change of subject without the id.
    const message = this.#written.find((it) =>
      id === undefined && newSubject !== undefined
        ? it.stanza.newSubject === newSubject
        : it.stanza.id === id,
    );
    if (message === undefined) return;
    if (isOwn) message.settle();
    else this.#refuse(message, readBounce(stanza, message.stanza));
  }

  /**
   * The subject that the message gives the room now. The first one after entering was given before,
   * possibly under the same nick, so it proves nothing.
   */
  #takeNewSubject(stanza: Element): string | undefined {
    const subject = readNewSubject(stanza);
    if (subject === undefined || !this.#isSubjectDue) return subject;
    this.#isSubjectDue = false;
    return undefined;
  }

  #handlePresence(stanza: Element): void {
    const own = this.#nick === undefined ? undefined : readOwnPresence(stanza, this.#nick);
    if (own === undefined || stanza.attrs['type'] === 'error') return;
    this.#nick = own.isThere ? own.nick : own.nextNick;
    if (this.#nick === undefined) {
      clearTimeout(this.#idle);
      this.#proceed();
    }
  }

  #startIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.leave(), this.#options.idleMs);
  }
}

function settleAll(messages: readonly RoomMessage[], error: Error): void {
  for (const message of messages) message.settle(error);
}

/** XEP-0045 §7.4: a room answers so to a sender that is not in it. */
function isForStrangers(error: unknown): boolean {
  return error instanceof GatewayError && error.options.stanzaError?.condition === 'not-acceptable';
}
