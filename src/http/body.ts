import type { Context, Request } from 'koa';
import bodyParser from 'koa-bodyparser';
import { GatewayError } from '../core/errors.ts';
import { mediaTypes } from './media-type.ts';

/** The client went away before its request was complete: nobody is left to answer. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted';
}

/** Reads the whole body of a request; rejects with `too-large`, `malformed-body` or RequestAborted. */
export type ReadBody = (ctx: Context) => Promise<Uint8Array>;

const noBytes = new Uint8Array();
const noNext = (): Promise<void> => Promise.resolve();

/** Creates the reader for bodies of at most `limitBytes`. */
export function createReadBody(limitBytes: number): ReadBody {
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
  return async (ctx) => {
    if (Number(ctx.req.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
    continueExpected(ctx);
    const request: Partial<Request> = ctx.request;
    await parse(ctx, noNext);
    return Buffer.isBuffer(request.body) ? request.body : noBytes;
  };
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
