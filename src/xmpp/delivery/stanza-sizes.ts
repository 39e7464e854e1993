import type { Logger } from 'pino';
import { GatewayError } from '../../core/errors.ts';
import type { Stanza } from '../../core/message/message.ts';
import { sizeAdvice } from '../server/advice.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';

/** Every server must take this many bytes (RFC 6120 §13.12), so a smaller stanza was not the reason. */
const smallestLimit = 10_000;

/**
 * The conditions with which servers close a stream on a stanza over their limit: policy-violation from
 * ejabberd (RFC 6120 §4.9.3.14), not-well-formed from Prosody. Other ends of a stream teach nothing.
 */
const sizeConditions: readonly (string | undefined)[] = ['policy-violation', 'not-well-formed'];

/**
 * Learns which stanza sizes the server takes, from the streams it closes. A stanza over its limit means
 * a 504 for every message in flight, so that size is not sent a second time. This survives reconnects,
 * until `forget()` or the end of the process.
 */
export class StanzaSizes {
  readonly #log: Logger;
  /** `limits.stanza_bytes`, for the advice in the log. */
  readonly #wanted: number;
  #refusedFrom = Number.POSITIVE_INFINITY;
  #largestTaken = smallestLimit;

  constructor(wanted: number, log: Logger) {
    this.#wanted = wanted;
    this.#log = log;
  }

  /** Throws GatewayError `too-large` for a size on which the server has closed the stream. */
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
   * Learns from the end of a stream with these stanzas unanswered: the largest was too large. From the
   * second time on, half of the sizes that are in doubt are refused as well. Otherwise a caller could
   * close the stream again and again with one byte less each time.
   */
  learn({ condition, reason }: StreamFailure, unanswered: readonly Pick<Stanza, 'bytes'>[]): void {
    if (!sizeConditions.includes(condition)) return;
    const largest = unanswered.reduce((most, { bytes }) => Math.max(most, bytes), 0);
    if (largest <= this.#largestTaken) {
      // The server took this size before, so the reason was another one, or its limit has been lowered.
      this.#largestTaken = smallestLimit;
      return;
    }
    const isFirst = this.#refusedFrom === Number.POSITIVE_INFINITY;
    const inDoubt = largest - this.#largestTaken;
    this.#refusedFrom = isFirst ? largest : largest - Math.floor(inDoubt / 2);
    const advice = sizeAdvice(this.#wanted);
    this.#log.warn(
      { reason, bytes: largest, refusedFrom: this.#refusedFrom, advice },
      'stanza too large for the XMPP server',
    );
  }

  /** Forgets everything, because an operator may have changed the server's limit. */
  forget(): void {
    this.#refusedFrom = Number.POSITIVE_INFINITY;
    this.#largestTaken = smallestLimit;
  }
}
