import type { IncomingMessage } from 'node:http';
import { type BodyBudget, type BodyReading, RequestAborted } from './body.ts';

/** A line of a body. */
export interface Line {
  /** Counts from 1, and includes the blank lines. */
  readonly number: number;
  /** Without the line end; or why it was not kept: it is longer than allowed, or memory was short. */
  readonly bytes: Buffer | 'too-large' | 'overloaded';
}

/** How long a line may be, and the budget that counts its bytes until it ends. */
export interface LineLimits {
  readonly maxBytes: number;
  readonly budget: BodyBudget;
  readonly caller: string;
}

const lineFeed = 0x0a;
const blank = /^[ \t\r]*$/;
const nothing = Buffer.alloc(0);

/**
 * Reads a body line by line, in the pieces in which it arrives; the socket is read only while lines are
 * asked for. Each piece must be used up before the next one. Leaves out blank lines. It ends early when `stopping` is aborted, and rejects with
 * RequestAborted when the client disconnects.
 */
export async function* readLines(
  req: IncomingMessage,
  limits: LineLimits,
  stopping: AbortSignal,
): AsyncGenerator<Iterable<Line>> {
  const splitter = new LineSplitter(limits);
  try {
    for await (const chunk of readChunks(req, stopping)) yield splitter.split(chunk);
    const last = stopping.aborted ? undefined : splitter.finish();
    if (last !== undefined) yield [last];
  } finally {
    splitter.close();
  }
}

/** Not with the iterator of the stream: the paced reader feeds only a stream that flows. */
async function* readChunks(req: IncomingMessage, stopping: AbortSignal): AsyncGenerator<Buffer> {
  const chunks: Buffer[] = [];
  const arrival = new Wakeup();
  const notify = (): void => arrival.wake();
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    req.pause();
    notify();
  };
  const events = ['end', 'error', 'close'] as const;
  req.on('data', take);
  for (const event of events) req.on(event, notify);
  stopping.addEventListener('abort', notify);
  try {
    while (!stopping.aborted) {
      const chunk = chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (req.readableEnded) return;
      else if (req.destroyed) throw new RequestAborted('The client disconnected.');
      else {
        req.resume();
        await arrival.wait();
      }
    }
  } finally {
    req.off('data', take);
    for (const event of events) req.off(event, notify);
    stopping.removeEventListener('abort', notify);
  }
}

/** Lets one waiter at a time wait for an event. */
export class Wakeup {
  #wake = (): void => undefined;

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }
}

/**
 * Splits chunks at line feeds and keeps what may continue, in one buffer: a line may arrive in pieces of
 * one byte. Meanwhile it counts as a body that is being read.
 */
class LineSplitter {
  readonly #limits: LineLimits;
  #number = 0;
  #kept = nothing;
  #keptBytes = 0;
  #fault: 'too-large' | 'overloaded' | undefined;
  #reading: BodyReading | undefined;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  /** One line at a time: objects for all of them may take 70 times the memory of the chunk. */
  *split(chunk: Buffer): Generator<Line> {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const line = this.#end(chunk.subarray(start, end));
      start = end + 1;
      if (line !== undefined) yield line;
    }
    this.#keep(chunk.subarray(start));
  }

  /** The line that ends with the body, unless it is blank. */
  finish(): Line | undefined {
    return this.#end(nothing);
  }

  close(): void {
    this.#reading?.end();
  }

  /** Ends a line with its last piece; undefined for a blank one. */
  #end(piece: Buffer): Line | undefined {
    this.#number += 1;
    const number = this.#number;
    const isLong = this.#keptBytes + piece.length > this.#limits.maxBytes;
    const fault = this.#fault ?? (isLong ? 'too-large' : undefined);
    const bytes = this.#keptBytes === 0 ? piece : Buffer.concat([this.#all(), piece]);
    this.#drop(undefined);
    if (fault !== undefined) return { number, bytes: fault };
    return isBlank(bytes) ? undefined : { number, bytes };
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0 || this.#fault !== undefined) return;
    const { maxBytes, budget, caller } = this.#limits;
    const bytes = this.#keptBytes + piece.length;
    if (bytes > maxBytes) {
      this.#drop('too-large');
      return;
    }
    if (bytes > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.min(maxBytes, 2 * bytes));
      this.#all().copy(larger);
      this.#kept = larger;
    }
    piece.copy(this.#kept, this.#keptBytes);
    this.#keptBytes = bytes;
    this.#reading ??= budget.begin(caller, () => this.#drop('overloaded'));
    this.#reading.add(piece.length);
  }

  #all(): Buffer {
    return this.#kept.subarray(0, this.#keptBytes);
  }

  /** Forgets what was kept; with a fault, the rest of the line is skipped. */
  #drop(fault: 'too-large' | 'overloaded' | undefined): void {
    this.#reading?.end();
    this.#reading = undefined;
    this.#kept = nothing;
    this.#keptBytes = 0;
    this.#fault = fault;
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.length === 0 || ((bytes[0] ?? 0) <= 0x20 && blank.test(bytes.toString('latin1')));
}
