import { Readable } from 'node:stream';
import type { Context } from 'koa';
import { notFound, requireMethod } from '../request/url.ts';
import type { Docs, DocsFile } from './docs-files.ts';

const headers = {
  // img-src: the style sheet of Swagger UI has its icons in data: URLs
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

const sliceBytes = 8 * 1024;

/** Answers `/docs`, or `/docs/<name>` with one of the files that the page consists of. */
export function answerDocs(ctx: Context, docs: Docs, name = 'page.html'): void {
  const file = docs.get(name);
  if (file === undefined) throw notFound();
  answerFile(ctx, file, headers);
}

/** Answers `/openapi.json`. */
export function answerOpenApi(ctx: Context, document: DocsFile): void {
  answerFile(ctx, document, { 'Cache-Control': 'no-cache' });
}

function answerFile(
  ctx: Context,
  { contentType, bytes, etag }: DocsFile,
  others: Readonly<Record<string, string>>,
): void {
  requireMethod(ctx.method, ['GET', 'HEAD']);
  ctx.set({ ...others, 'Content-Type': contentType, ETag: etag });
  ctx.status = 200;
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  ctx.body = Readable.from(sliceOf(bytes), { objectMode: false, highWaterMark: 1 });
  ctx.length = bytes.length;
}

/** One at a time: TLS makes a copy of whatever it is given. */
function* sliceOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    yield bytes.subarray(start, start + sliceBytes);
  }
}
