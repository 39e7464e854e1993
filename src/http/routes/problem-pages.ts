import type { Context } from 'koa';
import { type ProblemCode, problems } from '../../core/errors.ts';
import { notFound, requireMethod } from '../request/url.ts';

const pages = new Map(
  Object.entries(problems).map(([code, problem]) => [code, buildPage(code, problem)]),
);

/** Answers `/problems/<code>`: what the `type` of a problem means (RFC 9457 §3.1.1). */
export function answerProblemPage(ctx: Context, code: string): void {
  const page = pages.get(code);
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
