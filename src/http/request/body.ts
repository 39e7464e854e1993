import type { IncomingMessage } from 'node:http';
import type { Context, Request } from 'koa';
import bodyParser from 'koa-bodyparser';
import { GatewayError } from '../../core/errors.ts';
import { bytesPerPiece } from '../response/refuse.ts';
import { mediaTypes } from './media-type.ts';

/** The client went away before its request was complete: nobody is left to answer. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted';
}

/**
 * Reads the whole body of a request of `caller`; rejects with `too-large`, `malformed-body`,
 * `overloaded` or RequestAborted.
 */
export type ReadBody = (ctx: Context, caller: string) => Promise<Uint8Array>;

const noBytes = new Uint8Array();
const noNext = (): Promise<void> => Promise.resolve();

/** Creates the reader for bodies of at most `limitBytes`, all of which share `budget`. */
export function createReadBody(limitBytes: number, budget: BodyBudget): ReadBody {
  const options = {
    enableTypes: ['text'],
    extendTypes: { text: [...mediaTypes] },
    textLimit: String(limitBytes),
    onerror: (error: Error) => {
      throw translate(error, limitBytes);
    },
    // co-body's name for "bytes, not text": ill-formed UTF-8 must not be patched with U+FFFD
    encoding: null,
  };
  const parse = bodyParser(options);
  return async (ctx, caller) => {
    if (Number(ctx.req.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
    continueExpected(ctx);
    const request: Partial<Request> = ctx.request;
    await readWithin(budget, caller, ctx.req, () => parse(ctx, noNext));
    return Buffer.isBuffer(request.body) ? request.body : noBytes;
  };
}

/** Runs `parse`, which fails with `overloaded` when the budget does not last. */
async function readWithin(
  budget: BodyBudget,
  caller: string,
  req: IncomingMessage,
  parse: () => Promise<void>,
): Promise<void> {
  const reading = budget.begin(caller, () => {
    // What reads the body then lets go of it, and whoever answers throws the rest away. Where nobody
    // listens any more it has been refused already, and an error would end the process.
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
    'Too many bodies are being read; most of what they hold is of this caller.',
  );
}

/** The client may hold its body back until it is told that the body is wanted (RFC 9110 §10.1.1). */
function continueExpected({ req, res }: Context): void {
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
  return isAborted ? new RequestAborted('The client went away.', { cause: error }) : error;
}

function tooLarge(limitBytes: number): GatewayError {
  return new GatewayError('too-large', `Expected a body of at most ${limitBytes} bytes, got more.`);
}

/** A body that is being read. */
export interface BodyReading {
  /** Counts one more piece of it. */
  add(bytes: number): void;
  /** It was read, or is not wanted any more. */
  end(): void;
}

/** Bounds what is held of all bodies that are being read. */
export interface BodyBudget {
  /** Begins a reading for `caller`; `refuse` is called, once, when it has to end. */
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

/** For 64 bodies of the largest size that is accepted by default. */
const defaultMaxBodyBytes = 16 * 1024 * 1024;

/**
 * Creates the budget. Whatever goes beyond `maxBytes` is at the expense of the caller who holds
 * most: its newest reading ends, until the rest fits. So nobody is refused for what others hold.
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
      const newest = [...(findLargest()?.readings ?? [])].findLast(({ bytes }) => bytes > 0);
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
