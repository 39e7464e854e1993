import type { BulkRecord } from './records.ts';

/** A message without a final answer. */
export interface Item {
  readonly record: BulkRecord;
  readonly message: Buffer;
  mayHaveArrived: boolean;
  /** When its first answer came that says to try again. */
  retryingSince: number | undefined;
  pauseMs: number;
  dueAt: number;
}

/**
 * How many messages may be without an answer, and their bytes: several times what a gateway has under way,
 * so that it never waits for us.
 */
const [maxItems, maxBytes] = [2048, 4_194_304];

/** The pause before the same message or request is sent again: at first, and at most. */
export const [firstPauseMs, longestPauseMs] = [1000, 10_000];

/** The messages that have no final answer: those to be sent now, those to be sent again later, and the rest. */
export class Backlog {
  /** All of them, by their line, in the order of the file. */
  readonly #items = new Map<number, Item>();
  #bytes = 0;
  /** Those to be sent now. */
  #queue: Item[] = [];
  /** Those to be sent again later. */
  #later: Item[] = [];

  /** Whether all have their final answers. */
  get isEmpty(): boolean {
    return this.#items.size === 0;
  }

  /** Whether no more should be read for now. */
  get isFull(): boolean {
    return this.#items.size >= maxItems || this.#bytes >= maxBytes;
  }

  get hasNext(): boolean {
    return this.#queue.length > 0;
  }

  /** The line of the first one; undefined if there is none. */
  get firstLine(): number | undefined {
    return this.#items.keys().next().value;
  }

  get mayHaveArrived(): boolean {
    return [...this.#items.values()].some((item) => item.mayHaveArrived);
  }

  /** Adds a message that is to be sent. */
  add(record: BulkRecord, message: Buffer): void {
    const item: Item = {
      record,
      message,
      mayHaveArrived: false,
      retryingSince: undefined,
      pauseMs: firstPauseMs,
      dueAt: 0,
    };
    this.#items.set(record.line, item);
    this.#bytes += message.length;
    this.#queue.push(item);
  }

  /** Takes the next one to be sent. */
  take(): Item | undefined {
    return this.#queue.shift();
  }

  /** Puts back what was sent and not answered: it is next. */
  putBack(items: readonly Item[]): void {
    this.#queue.unshift(...items);
  }

  /** Has a message sent again, each time after a longer pause. */
  postpone(item: Item, now: number): void {
    item.dueAt = now + item.pauseMs;
    item.pauseMs = Math.min(item.pauseMs * 2, longestPauseMs);
    this.#later.push(item);
  }

  /** Has those sent now whose pause is over. */
  wake(now: number): void {
    const due = this.#later.filter(({ dueAt }) => dueAt <= now);
    if (due.length === 0) return;
    this.#later = this.#later.filter(({ dueAt }) => dueAt > now);
    this.#queue.push(...due);
  }

  /** Sends nothing more; the messages remain without a final answer. */
  stop(): void {
    [this.#queue, this.#later] = [[], []];
  }

  /** The message of this line has its final answer. */
  remove(line: number): boolean {
    const item = this.#items.get(line);
    if (item === undefined) return false;
    this.#items.delete(line);
    this.#bytes -= item.message.length;
    return true;
  }
}
