import type { Logger } from 'pino';
import { GatewayError } from '../../core/errors.ts';
import type { Stanza } from '../../core/message/message.ts';
import { sizeAdvice } from '../server/advice.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';

/** What every server has to take (RFC 6120 §13.12): a smaller stanza was not the reason. */
const smallestLimit = 10_000;

/**
 * How servers close a stream on a stanza that is over their limit: ejabberd says policy-violation (RFC
 * 6120 §4.9.3.14), Prosody not-well-formed. A stream that is lost in any other way teaches nothing.
 */
const sizeConditions: readonly (string | undefined)[] = ['policy-violation', 'not-well-formed'];

/**
 * The sizes that the server takes, as its closing of streams has shown: a stanza over its limit costs
 * everybody whose messages are in flight a 504, so one of that size is not sent a second time. It is
 * remembered over reconnects, until `forget()` or the end of the process.
 */
export class StanzaSizes {
  readonly #log: Logger;
  /** `limits.stanza_bytes`, for the lines that the log prints. */
  readonly #wanted: number;
  #refusedFrom = Number.POSITIVE_INFINITY;
  #largestTaken = smallestLimit;

  constructor(wanted: number, log: Logger) {
    this.#wanted = wanted;
    this.#log = log;
  }

  /** Throws GatewayError `too-large` for a size that the server has closed the stream on. */
  refuse({ bytes }: Pick<Stanza, 'bytes'>): void {
    if (bytes < this.#refusedFrom) return;
    throw new GatewayError(
      'too-large',
      `The stanza has ${bytes} bytes, and the XMPP server has closed the stream on a stanza like that: expected fewer than ${this.#refusedFrom}. Send a smaller message, or have the server's limit raised.`,
    );
  }

  /** The server has processed a stanza of this size. */
  taken({ bytes }: Pick<Stanza, 'bytes'>): void {
    this.#largestTaken = Math.max(this.#largestTaken, bytes);
  }

  /**
   * Learns from the end of a stream with these stanzas unanswered: the largest was too large. Each time
   * but the first, half of what is not known to be taken is refused as well: else somebody who sends
   * one byte less each time could close the stream for ever.
   */
  learn({ condition, reason }: StreamFailure, unanswered: readonly Pick<Stanza, 'bytes'>[]): void {
    if (!sizeConditions.includes(condition)) return;
    const largest = unanswered.reduce((most, { bytes }) => Math.max(most, bytes), 0);
    if (largest <= this.#largestTaken) {
      // Taken before, so it was something else, or the limit is lower now: the next time will tell.
      this.#largestTaken = smallestLimit;
      return;
    }
    const isFirst = this.#refusedFrom === Number.POSITIVE_INFINITY;
    const unclear = largest - this.#largestTaken;
    this.#refusedFrom = isFirst ? largest : largest - Math.floor(unclear / 2);
    const advice = sizeAdvice(this.#wanted);
    this.#log.warn(
      { reason, bytes: largest, refusedFrom: this.#refusedFrom, advice },
      'stanza too large for the XMPP server',
    );
  }

  /** An operator may have raised the server's limit. */
  forget(): void {
    this.#refusedFrom = Number.POSITIVE_INFINITY;
    this.#largestTaken = smallestLimit;
  }
}
