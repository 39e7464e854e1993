import type { IncomingMessage } from 'node:http';
import type { Context, Request } from 'koa';
import bodyParser from 'koa-bodyparser';
import { GatewayError } from '../../core/errors.ts';
import { bytesPerPiece } from '../response/answer.ts';
import { mediaTypes } from './media-type.ts';

/** The client disconnected before its request was complete: there is nobody left to answer. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted';
}

/**
 * Reads the whole body of a request by `caller`: at once if it has arrived. Throws or rejects with
 * `too-large`, `malformed-body`, `overloaded` or RequestAborted.
 */
export type ReadBody = (ctx: Context, caller: string) => Uint8Array | Promise<Uint8Array>;

const noBytes = new Uint8Array();
const noNext = (): Promise<void> => Promise.resolve();

/** Creates a reader for bodies of at most `limitBytes`; all bodies share the budget. */
export function createReadBody(limitBytes: number, budget: BodyBudget): ReadBody {
  const options = {
    enableTypes: ['text'],
    extendTypes: { text: [...mediaTypes] },
    textLimit: String(limitBytes),
    onerror: (error: Error) => {
      throw translate(error, limitBytes);
    },
    // This makes co-body return bytes: ill-formed UTF-8 must not be patched with U+FFFD.
    encoding: null,
  };
  const parse = bodyParser(options);
  const readArriving = async (ctx: Context, caller: string): Promise<Uint8Array> => {
    const request: Partial<Request> = ctx.request;
    await readWithin(budget, caller, ctx.req, () => parse(ctx, noNext));
    const { body } = request;
    // The request lasts until its messages are delivered, but nobody needs the body any more.
    delete request.body;
    delete request.rawBody;
    return Buffer.isBuffer(body) ? body : noBytes;
  };
  return (ctx, caller) => {
    const { req } = ctx;
    if (Number(req.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
    // Most bodies are small and have arrived with their heads: these need no parser that waits, no
    // listeners and no budget.
    if (req.complete && !req.destroyed) return takeArrived(req, limitBytes);
    continueExpected(ctx);
    return readArriving(ctx, caller);
  };
}

/** Takes a body of which nothing has been read, and which has arrived completely. */
function takeArrived(req: IncomingMessage, limitBytes: number): Uint8Array {
  if (req.readableLength > limitBytes) throw tooLarge(limitBytes);
  const body: unknown = req.read();
  return Buffer.isBuffer(body) ? body : noBytes;
}

/** Runs `parse`; rejects with `overloaded` if the budget runs out. */
async function readWithin(
  budget: BodyBudget,
  caller: string,
  req: IncomingMessage,
  parse: () => Promise<void>,
): Promise<void> {
  const reading = budget.begin(caller, () => {
    // The error ends the parsing, and the rest of the body is discarded with the answer. Without a
    // listener the body has been refused already, and an error would end the process.
    if (!req.readableEnded && req.listenerCount('error') > 0) req.emit('error', overloaded());
  });
  const count = (chunk: Buffer): void => reading.add(chunk.length);
  try {
    const parsed = parse();
    req.on('data', count);
    await parsed;
  } finally {
    req.off('data', count);
    reading.end();
  }
}

function overloaded(): GatewayError {
  return new GatewayError(
    'overloaded',
    'Too many bodies are being read; most of their bytes are from this caller.',
  );
}

/** A client may hold its body back until it is asked for it (RFC 9110 §10.1.1). */
export function continueExpected({ req, res }: Context): void {
  const expect = req.headers.expect;
  if (expect !== undefined && req.httpVersion === '1.1' && !req.complete) res.writeContinue();
}

function translate(error: Error, limitBytes: number): Error {
  const type = 'type' in error ? error.type : undefined;
  if (type === 'entity.too.large') return tooLarge(limitBytes);
  if (type === 'request.size.invalid') {
    return new GatewayError('malformed-body', 'The body is not as long as Content-Length says.');
  }
  const isAborted =
    type === 'request.aborted' ||
    type === 'stream.not.readable' ||
    ('code' in error && error.code === 'ECONNRESET');
  return isAborted ? new RequestAborted('The client disconnected.', { cause: error }) : error;
}

function tooLarge(limitBytes: number): GatewayError {
  return new GatewayError('too-large', `Expected a body of at most ${limitBytes} bytes, got more.`);
}

/** A body that is being read. */
export interface BodyReading {
  /** Counts a piece of it. */
  add(bytes: number): void;
  /** Ends the count: the body was read, or is not wanted any more. */
  end(): void;
}

/** Limits the memory of all bodies that are being read. */
export interface BodyBudget {
  /** Begins to count a body of `caller`; `refuse` is called, once, if its reading has to stop. */
  begin(caller: string, refuse: () => void): BodyReading;
}

interface Reading {
  readonly refuse: () => void;
  bytes: number;
}

interface Caller {
  readonly readings: Set<Reading>;
  bytes: number;
}

/** Enough for 64 bodies of the largest size that is accepted by default. */
const defaultMaxBodyBytes = 16 * 1024 * 1024;

/**
 * Creates the budget. While the bodies exceed `maxBytes`, a body of the caller with the most bytes is
 * refused: the newest of those that are no smaller than its average. So no caller is refused because
 * of the others, and no small body because of large ones.
 */
export function createBodyBudget(maxBytes = defaultMaxBodyBytes): BodyBudget {
  const callers = new Map<string, Caller>();
  let total = 0;

  function isExceeded(): boolean {
    return total > maxBytes;
  }

  function findLargest(): Caller | undefined {
    let largest: Caller | undefined;
    for (const caller of callers.values()) {
      if (largest === undefined || caller.bytes > largest.bytes) largest = caller;
    }
    return largest;
  }

  function refuseSome(): void {
    while (isExceeded()) {
      const largest = findLargest();
      if (largest === undefined) return;
      const average = largest.bytes / largest.readings.size;
      const newest = [...largest.readings].findLast(({ bytes }) => bytes >= average);
      if (newest === undefined) return;
      newest.refuse();
    }
  }

  return {
    begin(name, refuse) {
      const caller = callers.get(name) ?? { readings: new Set(), bytes: 0 };
      callers.set(name, caller);
      const end = (): void => {
        if (!caller.readings.delete(reading)) return;
        caller.bytes -= reading.bytes;
        total -= reading.bytes;
        if (caller.readings.size === 0) callers.delete(name);
      };
      const reading: Reading = {
        bytes: 0,
        refuse: () => {
          end();
          refuse();
        },
      };
      caller.readings.add(reading);
      return {
        add(bytes) {
          if (!caller.readings.has(reading)) return;
          const cost = bytes + bytesPerPiece;
          reading.bytes += cost;
          caller.bytes += cost;
          total += cost;
          if (isExceeded()) refuseSome();
        },
        end,
      };
    },
  };
}
