import type { Context } from 'koa';
import type { Readiness } from '../../core/message/readiness.ts';
import { requireMethod } from '../request/url.ts';
import type { HttpAnswer } from '../response/answer.ts';

/** Answers `/livez`: the process is running. */
export function answerLivez(ctx: Context): HttpAnswer {
  return buildAnswer(ctx, 200, { status: 'alive' });
}

/** Answers `/readyz`: whether messages can be sent now, else why not. */
export function answerReadyz(ctx: Context, readiness: Readiness): HttpAnswer {
  if (!readiness.ready) {
    return buildAnswer(ctx, 503, { status: 'unavailable', reason: readiness.reason });
  }
  const { degraded, domains } = readiness;
  return buildAnswer(ctx, 200, { status: 'ready', degraded, domains });
}

function buildAnswer(ctx: Context, status: number, body: object): HttpAnswer {
  requireMethod(ctx.method, ['GET', 'HEAD']);
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  return { status, headers, body: `${JSON.stringify(body)}\n` };
}
