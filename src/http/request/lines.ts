import type { IncomingMessage } from 'node:http';
import { RequestAborted } from './body.ts';

/** A line of a body. */
export interface Line {
  /** Counts from 1, with the blank lines. */
  readonly number: number;
  /** Without the line end; undefined if it is longer than allowed. */
  readonly bytes: Buffer | undefined;
}

const lineFeed = 0x0a;
const blank = /^[ \t\r]*$/;

/**
 * Reads a body line by line, in the pieces in which it arrives; the socket is read only while lines are
 * asked for. Leaves out blank lines. It ends early when `stopping` is aborted, and rejects with
 * RequestAborted when the client disconnects.
 */
export async function* readLines(
  req: IncomingMessage,
  maxBytes: number,
  stopping: AbortSignal,
): AsyncGenerator<readonly Line[]> {
  const splitter = new LineSplitter(maxBytes);
  for await (const chunk of readChunks(req, stopping)) {
    const lines = splitter.split(chunk);
    if (lines.length > 0) yield lines;
  }
  const last = stopping.aborted ? [] : splitter.finish();
  if (last.length > 0) yield last;
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

/** Splits chunks at line feeds and keeps what may continue, but no more than a line may have. */
class LineSplitter {
  readonly #maxBytes: number;
  #number = 0;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  split(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(...this.finish());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** The line that ends here, unless it is blank. */
  finish(): Line[] {
    this.#number += 1;
    const isTooLong = this.#restBytes > this.#maxBytes;
    const [first = Buffer.of()] = this.#rest;
    const bytes = this.#rest.length > 1 ? Buffer.concat(this.#rest) : first;
    this.#rest = [];
    this.#restBytes = 0;
    if (isTooLong) return [{ number: this.#number, bytes: undefined }];
    return isBlank(bytes) ? [] : [{ number: this.#number, bytes }];
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#restBytes += piece.length;
    if (this.#restBytes <= this.#maxBytes) this.#rest.push(piece);
    else this.#rest = [];
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.length === 0 || ((bytes[0] ?? 0) <= 0x20 && blank.test(bytes.toString('latin1')));
}
