import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Context } from 'koa';
import { type ProblemCode, problems } from '../../core/errors.ts';
import { notFound, requireMethod } from '../request/url.ts';

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

/** What the page at /docs consists of, by name, with its media types. */
export const docsFiles = {
  'page.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'message-request.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui-bundle.js.LICENSE.txt': 'text/plain; charset=utf-8',
  'LICENSE.txt': 'text/plain; charset=utf-8',
  'NOTICE.txt': 'text/plain; charset=utf-8',
} as const satisfies Record<string, string>;

/** A file as it is served. */
export interface DocsFile {
  readonly contentType: string;
  readonly bytes: Buffer;
  /** RFC 9110 §8.8.3. */
  readonly etag: string;
}

/** The files by name; `page.html` is the page itself. */
export type Docs = ReadonlyMap<string, DocsFile>;

/** What is served from memory, always from the same bytes. */
function createDocsFile(contentType: string, bytes: Buffer): DocsFile {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
  return { contentType, bytes, etag };
}

/**
 * The description of this gateway. The build writes it with `{{name}}` in place of each limit, and
 * with the pages at /docs.
 */
export function createOpenApi(
  template: string,
  limits: Readonly<Record<string, number>>,
  hasDocs: boolean,
): DocsFile {
  const text = template.replace(/"\{\{(\w+)\}\}"|\{\{(\w+)\}\}/g, (_, number, part) =>
    String(limits[number ?? part]),
  );
  const document: unknown = JSON.parse(text, (key, value: unknown) =>
    key.startsWith('/docs') && !hasDocs ? undefined : value,
  );
  return createDocsFile('application/json', Buffer.from(JSON.stringify(document)));
}

/** Reads the files of the page from a directory; throws when one is missing. */
export function readDocs(directory: string): Docs {
  return new Map(
    Object.entries(docsFiles).map(([name, contentType]) => {
      return [name, createDocsFile(contentType, readFileSync(join(directory, name)))];
    }),
  );
}

const problemPages = new Map(
  Object.entries(problems).map(([code, problem]) => [code, buildPage(code, problem)]),
);

/** Answers `/problems/<code>`: what the `type` of a problem means (RFC 9457 §3.1.1). */
export function answerProblemPage(ctx: Context, code: string): void {
  const page = problemPages.get(code);
  if (page === undefined) throw notFound();
  requireMethod(ctx.method, ['GET', 'HEAD']);
  ctx.status = 200;
  ctx.set('Content-Type', 'text/plain; charset=utf-8');
  ctx.body = page;
}

/** The page of a problem. */
export function buildProblemPage(code: ProblemCode): string {
  return buildPage(code, problems[code]);
}

function buildPage(code: string, problem: (typeof problems)[ProblemCode]): string {
  const status =
    code === 'bounced' ? 'status by the condition of the stanza error' : problem.status;
  return `${code} (${status})

${problem.title}

May the same request be sent again? ${problem.retry}
`;
}
