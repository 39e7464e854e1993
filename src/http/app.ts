import { Router } from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Readiness } from '../core/message/ports.ts';
import { describeWithCause } from '../core/text.ts';
import { RequestAborted } from './request/body.ts';
import { createFindClientAddress } from './request/client-address.ts';
import {
  createRequestRecord,
  logRequest,
  parseTraceId,
  type RequestOutcome,
  type RequestRecord,
} from './request/log.ts';
import { notFound, parseOriginForm } from './request/url.ts';
import { buildProblem } from './response/problem.ts';
import { sendRefusal } from './response/refuse.ts';
import { type AclPorts, createAnswerAcl } from './routes/acl.ts';
import {
  answerDocs,
  answerOpenApi,
  answerProblemPage,
  type Docs,
  type DocsFile,
} from './routes/docs.ts';
import { answerLivez, answerReadyz } from './routes/health.ts';
import { createPostMessage, type MessagePorts } from './routes/messages.ts';

/** All that the HTTP side needs from the rest of the gateway. */
export interface AppPorts extends MessagePorts, AclPorts {
  readonly limits: MessagePorts['limits'];
  /** Addresses and CIDR networks whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly log: Logger;
  readonly readiness: () => Readiness;
  /** Told of each answer; `seconds` since the request's headers. */
  readonly observeRequest: (endpoint: string, code: string, seconds: number) => void;
  /** The page at /docs; without it there is none. */
  readonly docs: Docs | undefined;
  /** The description of the API at /openapi.json. */
  readonly openApi: DocsFile;
}

interface State {
  record: RequestRecord;
}

const aclPath = /^\/api\/1\.0\/xmppdomains\/([^/]+)\/users\/([^/]+)\/acl$/;
const messagesPath = /^\/api\/1\.0\/xmppdomains\/([^/]+)\/gateway\/messages(?:\/([^/]+))?$/;

/** Creates the HTTP application: every request gets one answer and one line in the log. */
export function createApp(ports: AppPorts): Koa<State> {
  const app = new Koa<State>();
  app.use(createAnswerErrors(ports));
  app.use(createRouter(ports).routes());
  app.use(() => {
    throw notFound();
  });
  app.on('error', (error: Error & { headerSent?: boolean }) => {
    // the client went away while its answer was being written, or the answering itself has a bug
    ports.log[error.headerSent ? 'debug' : 'error']({ err: error }, 'answer failed');
  });
  return app;
}

/** The one error contract: whatever is thrown further in becomes a problem here, and nowhere else. */
function createAnswerErrors(ports: AppPorts): Middleware<State> {
  const findClientAddress = createFindClientAddress(ports.trustedProxies);
  return async (ctx, next) => {
    const { req } = ctx;
    const forwardedFor = req.headers['x-forwarded-for'];
    const record = createRequestRecord(
      findClientAddress(req.socket.remoteAddress, forwardedFor?.toString()),
      parseTraceId(req.headers['traceparent']?.toString()),
    );
    ctx.state.record = record;
    try {
      req.url = parseOriginForm(ctx.url, req.headers.host);
      await next();
      finish(ports, record, { method: ctx.method, status: ctx.status, code: 'ok' });
    } catch (error) {
      ctx.respond = false;
      refuse(ctx, record, error, ports);
    }
  };
}

function refuse(
  { req, res, method }: Context,
  record: RequestRecord,
  error: unknown,
  ports: AppPorts,
): void {
  if (error instanceof RequestAborted) {
    finish(ports, record, { method, status: 0, code: 'aborted' });
    return;
  }
  const { status, code, headers, body } = buildProblem(error, record.id);
  if (code === 'internal') ports.log.error({ err: error, request: record.id }, 'internal error');
  const reason = status >= 500 && error instanceof Error ? describeWithCause(error) : undefined;
  finish(ports, record, { method, status, code, reason });
  sendRefusal(req, res, status, headers, body);
}

function finish(
  { log, observeRequest }: AppPorts,
  record: RequestRecord,
  outcome: RequestOutcome,
): void {
  logRequest(log, record, outcome);
  observeRequest(
    record.route,
    record.code ?? outcome.code,
    (performance.now() - record.startedMs) / 1000,
  );
}

function createRouter(ports: AppPorts): Router<State> {
  const router = new Router<State>();
  const postMessage = createPostMessage(ports);
  const answerAcl = createAnswerAcl(ports);
  router.all(messagesPath, (ctx) => {
    const [fqdn = '', username] = ctx.captures ?? [];
    const { record } = ctx.state;
    record.route = username === undefined ? 'user' : 'api';
    return postMessage(ctx, record, fqdn, username);
  });
  router.all(aclPath, (ctx) => {
    const [fqdn = '', username = ''] = ctx.captures ?? [];
    const { record } = ctx.state;
    record.route = 'acl';
    return answerAcl(ctx, record, fqdn, username);
  });
  router.all(/^\/livez$/, (ctx) => {
    ctx.state.record.route = 'health';
    answerLivez(ctx);
  });
  router.all(/^\/readyz$/, (ctx) => {
    ctx.state.record.route = 'health';
    answerReadyz(ctx, ports.readiness());
  });
  router.all(/^\/problems\/([^/]+)$/, (ctx) => {
    ctx.state.record.route = 'problems';
    answerProblemPage(ctx, ctx.captures?.[0] ?? '');
  });
  addDocs(router, ports);
  return router;
}

function addDocs(router: Router<State>, { docs, openApi }: AppPorts): void {
  router.all(/^\/openapi\.json$/, (ctx) => {
    ctx.state.record.route = 'docs';
    answerOpenApi(ctx, openApi);
  });
  if (docs === undefined) return;
  router.all(/^\/docs(?:\/([^/]+))?$/, (ctx) => {
    ctx.state.record.route = 'docs';
    answerDocs(ctx, docs, ctx.captures?.[0]);
  });
}
