import {
  Backlog,
  type Connect,
  firstPauseMs,
  type Item,
  longestPauseMs,
  OpenRequest,
} from './backlog.ts';
import { PostFailure } from './failure.ts';
import { BulkInputError } from './input.ts';
import {
  judgeFailure,
  type LineFate,
  type Outcome,
  readRefusal,
  readRetryAfter,
  worstOutcome,
} from './outcome.ts';
import type { PostAnswer } from './post.ts';
import type { Counts } from './progress.ts';
import type { BulkFault, BulkRecord } from './records.ts';

/** What a BulkSender needs. */
export interface BulkPorts {
  readonly connect: Connect;
  /** How long to try again without success, in milliseconds. */
  readonly timeoutMs: number;
  /** A message has its final answer; `answer` is undefined if the gateway was not asked. */
  readonly onSettled: (
    record: BulkRecord,
    fate: LineFate | BulkFault,
    answer: string | undefined,
  ) => void;
  readonly onProgress: (counts: Counts) => void;
  /** Prints a line for people. */
  readonly say: (line: string) => void;
}

/** Why not all messages have a final answer. */
export interface Stop {
  readonly outcome: Outcome | 'interrupted' | 'unreadable';
  /** Sentences for people. */
  readonly reasons: readonly string[];
}

/** How the sending of many messages ended. */
export interface BulkResult extends Counts {
  readonly stop: Stop | undefined;
  /** All messages up to this line have their final answer. */
  readonly doneTo: number;
}

const tickMs = 100;

/** An answer that ended in the middle. */
const cutOff = { wasConnected: true, mayRetry: true };

/**
 * After this silence the request is ended; there will be another one. A proxy may hold back what has not
 * ended, and the gateway closes an idle connection.
 */
const quietMs = 5000;

/** Sends many messages in as few requests as possible, each until it has a final answer. */
export class BulkSender {
  readonly #ports: BulkPorts;
  readonly #backlog = new Backlog();
  #request: OpenRequest | undefined;
  #quietMs = quietMs;
  #connectAt = 0;
  #pauseMs = firstPauseMs;
  /** When the gateway first failed, since its last answer. */
  #downSince: number | undefined;
  #lastLine: number;
  #hasReadAll = false;
  /** Why the file could not be read to its end. */
  #fault: Stop | undefined;
  #wakeReader: () => void = () => undefined;
  readonly #said = new Set<string>();
  readonly #counts = { accepted: 0, refused: 0, bytes: 0 };
  #stop: Stop | undefined;
  #finish: () => void = () => undefined;

  /** The first `skipped` lines of the file are left out. */
  constructor(ports: BulkPorts, skipped: number) {
    this.#ports = ports;
    this.#lastLine = skipped;
  }

  /** Sends all; rejects only with bugs. */
  async send(records: AsyncIterable<BulkRecord>): Promise<BulkResult> {
    const ticking = setInterval(() => this.#tick(), tickMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = resolve;
        this.#read(records).catch(reject);
      });
    } finally {
      clearInterval(ticking);
    }
    this.#ports.onProgress(this.#counts);
    const { firstLine } = this.#backlog;
    const doneTo = firstLine === undefined ? this.#lastLine : firstLine - 1;
    return { ...this.#counts, stop: this.#worst(), doneTo };
  }

  /** Reads no further message, and waits for the answers to what was sent. Only the first reason counts. */
  stop(reason: Stop): void {
    if (this.#stop !== undefined) return;
    this.#stop = reason;
    this.#backlog.stop();
    this.#wakeReader();
    this.#step();
  }

  #worst(): Stop | undefined {
    const isUnknown = this.#backlog.mayHaveArrived;
    const { outcome, reasons } = this.#stop ?? { reasons: [] };
    if (outcome === undefined || outcome === 'interrupted' || outcome === 'unreadable') {
      return this.#stop ?? this.#fault;
    }
    return { outcome: worstOutcome(isUnknown ? [outcome, 'unknown'] : [outcome]), reasons };
  }

  async #read(records: AsyncIterable<BulkRecord>): Promise<void> {
    try {
      for await (const record of records) {
        if (this.#stop !== undefined) return;
        if (record.line > this.#lastLine) this.#add(record);
        else this.#counts.bytes += record.source.length;
        while (this.#backlog.isFull && this.#stop === undefined) await this.#waitForRoom();
      }
    } catch (error) {
      if (this.#stop !== undefined) return;
      if (!(error instanceof BulkInputError)) throw error;
      // What has been read before is good, and will be sent.
      this.#fault = { outcome: 'unreadable', reasons: [error.message] };
    }
    this.#hasReadAll = true;
    this.#step();
  }

  #waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReader = resolve;
    });
  }

  #add(record: BulkRecord): void {
    this.#lastLine = record.line;
    const { message } = record;
    if ('fault' in message) {
      this.#settle(record, message, undefined);
      return;
    }
    this.#backlog.add(record, message);
    this.#step();
  }

  #tick(): void {
    this.#backlog.wake(performance.now());
    // A gateway answers within half a minute, so that by default there is time for another attempt.
    const stalledMs = (this.#ports.timeoutMs * 3) / 4;
    const limits = { quietMs: Math.min(this.#quietMs, stalledMs / 2), stalledMs };
    this.#request?.check(limits, this.#backlog.hasNext);
    this.#ports.onProgress(this.#counts);
    this.#step();
  }

  /** Does what can be done now: connects, writes, ends. */
  #step(): void {
    const request = this.#request;
    if (request === undefined) {
      if (this.#isDone()) this.#finish();
      else if (this.#backlog.hasNext && performance.now() >= this.#connectAt) this.#connect();
      return;
    }
    while (request.hasRoom) {
      const item = this.#backlog.take();
      if (item === undefined) break;
      request.write(item);
    }
    if (this.#isDone()) request.end();
  }

  #isDone(): boolean {
    if (this.#stop !== undefined) return this.#request?.isAnswered ?? true;
    return this.#hasReadAll && this.#backlog.isEmpty;
  }

  #connect(): void {
    const request = new OpenRequest(this.#ports.connect, {
      onAnswer: (item, fate, text) => {
        // A proxy has held the answers back until the request ended: the next requests must be short.
        if (request.wasHeldBack && this.#stop === undefined && !this.#hasReadAll) {
          this.#quietMs = tickMs;
        }
        [this.#downSince, this.#pauseMs] = [undefined, firstPauseMs];
        this.#take(item, fate, text);
        this.#step();
      },
      onRoom: () => this.#step(),
      onClose: (end) => this.#onClose(request, end),
    });
    this.#request = request;
  }

  /** Takes an answer to a message: it is final, or the message has to be sent again. */
  #take(item: Item, fate: LineFate, text: string): void {
    item.mayHaveArrived ||= fate.outcome === 'unknown';
    const where = `line ${item.record.line}: ${fate.reason}`;
    if (!fate.mayRetry && fate.outcome === 'unknown') {
      // In the file of refused messages, it would be corrected and sent again under another key.
      this.stop({ outcome: 'unknown', reasons: [where, ...fate.details] });
      return;
    }
    if (!fate.mayRetry) {
      this.#settle(item.record, fate, text);
      return;
    }
    if (this.#stop !== undefined) return;
    const now = performance.now();
    item.retryingSince ??= now;
    if (now - item.retryingSince < this.#ports.timeoutMs) {
      this.#sayOnce(where, fate.reason);
      this.#backlog.postpone(item, now);
    } else if (fate.outcome === 'bounced' && !item.mayHaveArrived) {
      this.#settle(item.record, fate, text);
    } else {
      this.stop({ outcome: fate.outcome, reasons: [fate.reason, ...fate.details] });
    }
  }

  #settle(record: BulkRecord, fate: LineFate | BulkFault, answer: string | undefined): void {
    try {
      this.#ports.onSettled(record, fate, answer);
    } catch (error) {
      if (!(error instanceof BulkInputError)) throw error;
      this.stop({ outcome: 'unreadable', reasons: [error.message] });
      return;
    }
    const isAccepted = 'outcome' in fate && fate.outcome === 'confirmed';
    this.#counts[isAccepted ? 'accepted' : 'refused'] += 1;
    this.#counts.bytes += record.source.length;
    if (this.#backlog.remove(record.line) && !this.#backlog.isFull) this.#wakeReader();
  }

  #onClose(request: OpenRequest, end: PostAnswer | PostFailure | undefined): void {
    const { unanswered, silentSince } = request;
    this.#request = undefined;
    if (this.#stop === undefined) this.#backlog.putBack(unanswered);
    if (this.#isDone() && unanswered.length === 0) {
      this.#finish();
      return;
    }
    if (end instanceof PostFailure || (end === undefined && !request.hasCounts)) {
      const reason = `no answer: ${end?.message ?? 'it ended in the middle'}`;
      const { outcome, mayRetry } = judgeFailure(end ?? cutOff);
      for (const item of unanswered) item.mayHaveArrived ||= outcome === 'unknown';
      if (mayRetry) this.#pause(silentSince, outcome, [reason]);
      else this.stop({ outcome, reasons: [reason] });
    } else if (end !== undefined) {
      const { outcome, mayRetry, reason, details } = readRefusal(end);
      const reasons = [reason, ...details];
      if (mayRetry) this.#pause(silentSince, outcome, reasons, readRetryAfter(end.retryAfter));
      else this.stop({ outcome, reasons });
    } else if (!request.isEnding || unanswered.length > 0) {
      this.#pause(silentSince, 'unavailable', ['the gateway stops']);
    }
    this.#step();
  }

  /** Waits before the next request, unless the time is up; `since` is when the last one fell silent. */
  #pause(since: number, outcome: Outcome, reasons: readonly string[], retryAfterMs?: number): void {
    if (this.#stop !== undefined) return;
    const now = performance.now();
    this.#downSince ??= since;
    const pauseMs = Math.max(retryAfterMs ?? this.#pauseMs, firstPauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
    if (now + pauseMs >= this.#downSince + this.#ports.timeoutMs) {
      this.stop({ outcome, reasons });
      return;
    }
    this.#connectAt = now + pauseMs;
    for (const reason of reasons) this.#ports.say(reason);
    this.#ports.say(`Trying again in ${pauseMs / 1000} s.`);
  }

  /** Says why a message has to be sent again, the first few times that it is something new. */
  #sayOnce(sentence: string, reason: string): void {
    if (this.#said.has(reason) || this.#said.size >= 10) return;
    this.#said.add(reason);
    this.#ports.say(`${sentence}\nTrying again.`);
  }
}
