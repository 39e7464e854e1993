import { type LineFate, parseObject, readLine } from './outcome.ts';
import type { BulkPost, BulkPostEvents } from './post.ts';
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

/** What an OpenRequest reports. */
export interface OpenRequestEvents extends Pick<BulkPostEvents, 'onRoom' | 'onClose'> {
  /** An answer to a message; `text` is its line. */
  readonly onAnswer: (item: Item, fate: LineFate, text: string) => void;
}

/** Opens a request for many messages. */
export type Connect = (
  events: BulkPostEvents,
) => Pick<BulkPost, 'hasRoom' | 'write' | 'end' | 'destroy'>;

/** A request for many messages: which of them it has, and whether it moves. */
export class OpenRequest {
  readonly #post: ReturnType<Connect>;
  readonly #events: OpenRequestEvents;
  /** Those without an answer, by their line in the request. */
  readonly #sent = new Map<number, Item>();
  #written = 0;
  #isEnding = false;
  #hasAnswer = false;
  #hasCounts = false;
  #wasHeldBack = false;
  #activeAt = performance.now();

  constructor(connect: Connect, events: OpenRequestEvents) {
    this.#events = events;
    this.#post = connect({ ...events, onLine: (line) => this.#onLine(line) });
  }

  /** Whether a message can be written now. */
  get hasRoom(): boolean {
    return this.#post.hasRoom && !this.#isEnding;
  }

  /** Whether all messages that it has were answered. */
  get isAnswered(): boolean {
    return this.#sent.size === 0;
  }

  get unanswered(): readonly Item[] {
    return [...this.#sent.values()];
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Whether the last line of a whole answer has come. */
  get hasCounts(): boolean {
    return this.#hasCounts;
  }

  /** Whether the first answer came only when the request had ended. */
  get wasHeldBack(): boolean {
    return this.#wasHeldBack;
  }

  /** Since when nothing was sent or received, without the time that the gateway waits for receipts. */
  get silentSince(): number {
    const waits = this.unanswered.map(({ record }) => record.waitMs ?? 0);
    return Math.min(performance.now(), this.#activeAt + Math.max(0, ...waits));
  }

  write(item: Item): void {
    this.#written += 1;
    this.#sent.set(this.#written, item);
    this.#activeAt = performance.now();
    this.#post.write(item.message);
  }

  /** Writes no further message. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#post.end();
  }

  /** Ends a request that is quiet, unless it only waits to be let in, and gives up one that is stalled. */
  check(limits: { readonly quietMs: number; readonly stalledMs: number }, hasNext: boolean): void {
    const silentMs = performance.now() - this.#activeAt;
    const canEnd = !this.#isEnding && (this.#written > 0 || !hasNext);
    const isWaiting = this.#isEnding || !this.isAnswered || this.#written === 0;
    if (canEnd && silentMs >= limits.quietMs) {
      this.end();
    } else if (isWaiting && performance.now() - this.silentSince >= limits.stalledMs) {
      this.#post.destroy(`none within ${Math.round(silentMs / 1000)} s`);
    }
  }

  #onLine(text: string): void {
    const fields = parseObject(text);
    const { line } = fields;
    if (typeof line !== 'number') {
      this.#hasCounts ||= typeof fields['lines'] === 'number';
      return;
    }
    this.#wasHeldBack ||= !this.#hasAnswer && this.#isEnding;
    this.#hasAnswer = true;
    this.#activeAt = performance.now();
    const item = this.#sent.get(line);
    if (item === undefined) return;
    this.#sent.delete(line);
    this.#events.onAnswer(item, readLine(fields), text);
  }
}
