import type { Context } from 'koa';
import type { Readiness } from '../../core/message/ports.ts';
import { requireMethod } from '../request/url.ts';

/** Answers `/livez`: the process is up. */
export function answerLivez(ctx: Context): void {
  answer(ctx, 200, { status: 'alive' });
}

/** Answers `/readyz`: whether messages can be sent now, else why not. */
export function answerReadyz(ctx: Context, readiness: Readiness): void {
  if (readiness.ready) {
    const { degraded, domains } = readiness;
    answer(ctx, 200, { status: 'ready', degraded, domains });
  } else {
    answer(ctx, 503, { status: 'unavailable', reason: readiness.reason });
  }
}

function answer(ctx: Context, status: number, body: object): void {
  requireMethod(ctx.method, ['GET', 'HEAD']);
  ctx.status = status;
  ctx.set({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  ctx.body = JSON.stringify(body);
}
