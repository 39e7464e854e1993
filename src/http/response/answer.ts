import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** An answer as it is written. */
export interface HttpAnswer {
  readonly status: number;
  /** All but Content-Length, which follows from the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** Text, or a file, which is written in slices; undefined for a status that has no body. */
  readonly body: string | Buffer | undefined;
}

/** What a message URL answers, as it can be kept: the headers follow from it. */
export interface Answer {
  readonly status: number;
  /** `ok` or the code of a problem, for the log. */
  readonly code: string;
  readonly contentType: string;
  readonly body: string;
  /** Of a list: how many of its messages were accepted. For the log; not kept. */
  readonly counts?: { readonly accepted: number; readonly refused: number } | undefined;
  /** For how many seconds a receipt was waited for, if `Prefer: wait` was applied. */
  readonly waitSeconds?: number | undefined;
}

/** An answer whose parts are written as they come, and as the client takes them. */
export interface StreamedAnswer extends Omit<HttpAnswer, 'body'> {
  readonly parts: AsyncIterable<string>;
}

const sliceBytes = 8 * 1024;

/** How much of an unwanted body is read, each piece at its cost, and for how long. */
const maxDrainedBytes = 16 * 1024 * 1024;
const maxDrainMs = 10_000;
const lingerMs = 1000;

/** What a piece of a body costs besides its bytes: a body may arrive in pieces of one byte. */
export const bytesPerPiece = 1024;

/**
 * Writes an answer. It goes out at once, even if the body of the request is still arriving, but the
 * response only ends after that body has been read and discarded: closing a socket with unread data
 * resets it, and the client would see the reset instead of the answer. A client that exceeds the
 * bounds is disconnected.
 */
export function sendAnswer(
  req: IncomingMessage,
  res: ServerResponse,
  { status, headers, body }: HttpAnswer,
): void {
  res.writeHead(
    status,
    body === undefined ? headers : { ...headers, 'Content-Length': Buffer.byteLength(body) },
  );
  if (Buffer.isBuffer(body) && req.method !== 'HEAD') {
    const slices = Readable.from(sliceOf(body), { objectMode: false, highWaterMark: 1 });
    slices.once('end', () => endAfterBody(req, res)).pipe(res, { end: false });
  } else if (req.readableEnded || req.destroyed) {
    res.end(body);
  } else {
    if (body !== undefined) res.write(body);
    res.flushHeaders();
    endAfterBody(req, res);
  }
}

/** Writes an answer part by part; rejects when a part does. It ends as that of sendAnswer. */
export async function streamAnswer(
  req: IncomingMessage,
  res: ServerResponse,
  { status, headers, parts }: StreamedAnswer,
): Promise<void> {
  res.writeHead(status, headers);
  res.flushHeaders();
  for await (const part of parts) {
    // Nobody takes the answer any more, but what it is about must come to its end.
    if (res.destroyed || res.write(part)) continue;
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        res.off('drain', goOn).off('close', goOn);
        resolve();
      };
      res.on('drain', goOn).on('close', goOn);
    });
  }
  // A body that is still arriving then will not be read: its client has time to take the end.
  endAfterBody(req, res, lingerMs);
}

function endAfterBody(req: IncomingMessage, res: ServerResponse, maxMs = maxDrainMs): void {
  if (req.readableEnded || req.destroyed) res.end();
  else drain(req, maxMs, () => res.end());
}

/** One slice at a time, because TLS copies whatever it is given. */
function* sliceOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    yield bytes.subarray(start, start + sliceBytes);
  }
}

function drain(req: IncomingMessage, maxMs: number, done: () => void): void {
  let bytes = 0;
  const deadline = setTimeout(() => req.destroy(), maxMs);
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length + bytesPerPiece;
    if (bytes > maxDrainedBytes) req.destroy();
  });
  req.once('end', done);
  req.once('close', () => clearTimeout(deadline));
  req.resume();
}
