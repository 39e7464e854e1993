import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from 'koa';
import { type ProblemCode, problems } from '../../core/errors.ts';
import { explainConditions } from '../../core/message/stanza-error.ts';
import { notFound, requireMethod } from '../request/url.ts';
import type { HttpAnswer } from '../response/answer.ts';

const headers = {
  // img-src: the icon of the page is in a data: URL.
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

/** In characters; browsers send about 150. */
const maxAcceptLength = 1000;

/** Answers `/docs` with the page, and `/docs/<name>` with one of its files. */
export function answerDocs(ctx: Context, docs: Docs, name = 'page.html'): HttpAnswer {
  const file = docs.get(name);
  if (file === undefined) throw notFound();
  return answerFile(ctx, file, headers);
}

/**
 * Answers `/` with a redirect to the page, below whatever path a proxy serves the gateway; undefined
 * for other methods, and for clients that do not prefer HTML to the problem that `/` gets.
 */
export function leadToDocs(ctx: Context): HttpAnswer | undefined {
  if (ctx.path !== '/' || !['GET', 'HEAD'].includes(ctx.method)) return undefined;
  const { accept = '' } = ctx.req.headers;
  // Koa takes a time that grows with the square of the length.
  if (accept.length > maxAcceptLength || ctx.accepts('json', 'html') !== 'html') return undefined;
  const location = { Location: 'docs', Vary: 'Accept', 'Cache-Control': 'no-cache' };
  return { status: 303, headers: location, body: '' };
}

/** Answers `/openapi.json`. */
export function answerOpenApi(ctx: Context, document: DocsFile): HttpAnswer {
  return answerFile(ctx, document, { 'Cache-Control': 'no-cache' });
}

function answerFile(
  ctx: Context,
  { contentType, bytes, etag }: DocsFile,
  others: Readonly<Record<string, string>>,
): HttpAnswer {
  requireMethod(ctx.method, ['GET', 'HEAD']);
  // Koa compares If-None-Match with the state of its response.
  ctx.status = 200;
  ctx.set('ETag', etag);
  if (ctx.fresh) ctx.status = 304;
  const { status } = ctx;
  const common = { ...others, ETag: etag };
  return status === 304
    ? { status, headers: common, body: undefined }
    : { status, headers: { ...common, 'Content-Type': contentType }, body: bytes };
}

/** The files of the page at /docs, with their media types. */
export const docsFiles = {
  'page.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'answers.js': 'text/javascript; charset=utf-8',
  'elements.js': 'text/javascript; charset=utf-8',
  'examples.js': 'text/javascript; charset=utf-8',
  'form.js': 'text/javascript; charset=utf-8',
  'keys.js': 'text/javascript; charset=utf-8',
  'message-request.js': 'text/javascript; charset=utf-8',
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

/** By the names that the description of the API has for them. */
type Limits = Readonly<Record<string, number>>;

/** Creates a file that is served from memory. */
function createDocsFile(contentType: string, bytes: Buffer): DocsFile {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
  return { contentType, bytes, etag };
}

/**
 * Creates the description of this gateway from that of the build, which has `{{name}}` in place of
 * each limit and includes the pages at /docs.
 */
export function createOpenApi(template: string, limits: Limits, hasDocs: boolean): DocsFile {
  const document: unknown = JSON.parse(fillIn(template, limits), (key, value: unknown) =>
    key.startsWith('/docs') && !hasDocs ? undefined : value,
  );
  return createDocsFile('application/json', Buffer.from(JSON.stringify(document)));
}

/** Puts values in place of `{{name}}`, and of the quotes around a number that stands alone. */
function fillIn(template: string, values: Readonly<Record<string, number | string>>): string {
  return template.replace(/"\{\{(\w+)\}\}"|\{\{(\w+)\}\}/g, (_, number, part) =>
    String(values[number ?? part]),
  );
}

/**
 * Reads the files of the page from a directory, and fills in the limits and the domains that the
 * gateway serves, which the form offers also while the XMPP server is down; throws if a file is
 * missing.
 */
export function readDocs(directory: string, limits: Limits, domains: Iterable<string>): Docs {
  // A domain has no character that HTML would read.
  const options = Array.from(domains, (domain) => `<option value="${domain}"></option>`).join('');
  const values = { ...limits, domains: options };
  return new Map(
    Object.entries(docsFiles).map(([name, contentType]) => {
      const text = readFileSync(join(directory, name), 'utf8');
      return [name, createDocsFile(contentType, Buffer.from(fillIn(text, values)))];
    }),
  );
}

const problemPages = new Map(
  Object.entries(problems).map(([code, problem]) => [code, buildPage(code, problem)]),
);

/** Answers `/problems/<code>`: what the `type` of a problem means (RFC 9457 §3.1.1). */
export function answerProblemPage(ctx: Context, code: string): HttpAnswer {
  const page = problemPages.get(code);
  if (page === undefined) throw notFound();
  requireMethod(ctx.method, ['GET', 'HEAD']);
  return { status: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: page };
}

/** Builds the page that explains a problem. */
export function buildProblemPage(code: ProblemCode): string {
  return buildPage(code, problems[code]);
}

function buildPage(code: string, problem: (typeof problems)[ProblemCode]): string {
  const status =
    code === 'bounced' ? 'status by the condition of the stanza error' : problem.status;
  return `${code} (${status})

${problem.title}

${problem.causes}${code === 'bounced' ? `\n\n${explainConditions()}` : ''}

May the same request be sent again? ${problem.retry}
`;
}
