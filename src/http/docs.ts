import type { Context } from 'koa';
import type { Docs } from './docs-files.ts';
import { notFound, requireMethod } from './target.ts';

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

/** Answers `/docs`, or `/docs/<name>` with one of the files that the page consists of. */
export function answerDocs(ctx: Context, docs: Docs, name = 'page.html'): void {
  const file = docs.get(name);
  if (file === undefined) throw notFound();
  requireMethod(ctx.method, ['GET', 'HEAD']);
  ctx.set({ ...headers, 'Content-Type': file.contentType, ETag: file.etag });
  ctx.status = 200;
  if (ctx.fresh) ctx.status = 304;
  else ctx.body = file.bytes;
}

/** Answers `/openapi.json`. */
export function answerOpenApi(ctx: Context, document: string): void {
  requireMethod(ctx.method, ['GET', 'HEAD']);
  ctx.status = 200;
  ctx.set('Content-Type', 'application/json');
  ctx.body = document;
}
