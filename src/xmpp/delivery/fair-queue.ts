import type { Stanza } from '../../core/message/message.ts';
import type { PendingMessage } from './lane.ts';

/** The waiting messages of one caller. */
interface Line {
  readonly messages: PendingMessage[];
  bytes: number;
}

/**
 * Messages that wait to be written: callers take turns, and the messages of one caller keep their
 * order. The owner caps the queue by `count` and `bytes`.
 */
export class FairQueue {
  /** In the order of turns: a caller that had one goes to the end. */
  readonly #lines = new Map<string, Line>();
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(message: PendingMessage): void {
    const { caller } = message.stanza;
    const line = this.#lines.get(caller) ?? { messages: [], bytes: 0 };
    if (line.messages.length === 0) this.#lines.set(caller, line);
    line.messages.push(message);
    this.#add(line, 1, message.stanza.heldBytes);
  }

  /** The message whose turn it is. */
  peek(): PendingMessage | undefined {
    return this.#first()?.messages[0];
  }

  /** Takes out the message whose turn it is. */
  take(): PendingMessage | undefined {
    const line = this.#first();
    const message = line?.messages.shift();
    if (line === undefined || message === undefined) return undefined;
    const { caller } = message.stanza;
    if (line.messages.length > 0 && this.#lines.size > 1) {
      this.#lines.delete(caller);
      this.#lines.set(caller, line);
    }
    return this.#forget(line, message);
  }

  /**
   * Takes out the newest message of the caller with the most waiting, by `measure`, if that is more
   * than the caller of `stanza` would have with it.
   */
  takeFromLargest(
    stanza: Pick<Stanza, 'caller' | 'heldBytes'>,
    measure: 'count' | 'bytes',
  ): PendingMessage | undefined {
    const sizeOf = (line: Line): number =>
      measure === 'count' ? line.messages.length : line.bytes;
    const own = this.#lines.get(stanza.caller);
    const added = measure === 'count' ? 1 : stanza.heldBytes;
    let limit = (own === undefined ? 0 : sizeOf(own)) + added;
    let largest: Line | undefined;
    for (const line of this.#lines.values()) {
      if (sizeOf(line) <= limit) continue;
      limit = sizeOf(line);
      largest = line;
    }
    const newest = largest?.messages.pop();
    return largest && newest && this.#forget(largest, newest);
  }

  /** Takes out all messages whose deadline has passed at `now`. */
  takeExpired(now: number): PendingMessage[] {
    const expired: PendingMessage[] = [];
    for (const line of this.#lines.values()) {
      const { messages } = line;
      const firstAlive = messages.findIndex(({ deadline }) => deadline > now);
      const gone = messages.splice(0, firstAlive === -1 ? messages.length : firstAlive);
      for (const message of gone) expired.push(this.#forget(line, message));
    }
    return expired;
  }

  #first(): Line | undefined {
    return this.#lines.values().next().value;
  }

  #forget(line: Line, message: PendingMessage): PendingMessage {
    this.#add(line, -1, -message.stanza.heldBytes);
    if (line.messages.length === 0) this.#lines.delete(message.stanza.caller);
    return message;
  }

  #add(line: Line, messages: number, bytes: number): void {
    line.bytes += bytes;
    this.#count += messages;
    this.#bytes += bytes;
  }
}
