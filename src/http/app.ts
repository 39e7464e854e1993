import { Router } from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import type { Logger } from 'pino';
import { GatewayError } from '../core/errors.ts';
import type { Readiness } from '../core/message/readiness.ts';
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
import { nothingAt, parseOriginForm } from './request/url.ts';
import {
  type HttpAnswer,
  type StreamedAnswer,
  sendAnswer,
  streamAnswer,
} from './response/answer.ts';
import { buildProblem } from './response/problem.ts';
import { type AclPorts, createAnswerAcl } from './routes/acl.ts';
import {
  answerDocs,
  answerOpenApi,
  answerProblemPage,
  type Docs,
  type DocsFile,
  leadToDocs,
} from './routes/docs.ts';
import { answerLivez, answerReadyz } from './routes/health.ts';
import { createPostMessage, type MessagePorts } from './routes/messages.ts';

/** What the HTTP side needs from the rest of the gateway. */
export interface AppPorts extends MessagePorts, AclPorts {
  readonly limits: MessagePorts['limits'];
  /** Addresses and CIDR networks whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[];
  readonly log: Logger;
  readonly readiness: () => Readiness;
  /** Called for each answer; `seconds` have passed since the headers of the request. */
  readonly observeRequest: (endpoint: string, code: string, seconds: number) => void;
  /** The page at /docs, if there is one. */
  readonly docs: Docs | undefined;
  /** The description of the API at /openapi.json. */
  readonly openApi: DocsFile;
}

interface State {
  record: RequestRecord;
}

/** Answers a request; `captures` are the parts of the path that its pattern captured. */
type Handle = (
  ctx: Context,
  record: RequestRecord,
  ...captures: string[]
) => HttpAnswer | Promise<HttpAnswer | StreamedAnswer>;

const userPath = /^\/api\/1\.0\/xmppdomains\/([^/]+)\/gateway\/messages$/;
const apiPath = /^\/api\/1\.0\/xmppdomains\/([^/]+)\/gateway\/messages\/([^/]+)$/;
const aclPath = /^\/api\/1\.0\/xmppdomains\/([^/]+)\/users\/([^/]+)\/acl$/;

/**
 * Koa without the answers that it writes itself: for these it would watch each response and its socket
 * (on-finished), which costs as much as routing.
 */
class App extends Koa<State> {
  /** What Koa's callback calls. Only a bug in the answering of errors can make `answer` reject. */
  handleRequest(ctx: Context, answer: (ctx: Context) => Promise<void>): Promise<void> {
    return answer(ctx).catch((error: unknown) => {
      this.emit('error', error);
      ctx.res.destroy();
    });
  }
}

/** Creates the HTTP application: each request gets one answer and one line in the log. */
export function createApp(ports: AppPorts): Koa<State> {
  const app = new App();
  app.use(createAnswerErrors(ports));
  app.use(createRouter(ports).routes());
  app.use((ctx) => {
    const hasDocs = ports.docs !== undefined;
    const answer = hasDocs ? leadToDocs(ctx) : undefined;
    if (answer === undefined) throw nothingAt(ctx.path, hasDocs);
    ctx.state.record.route = 'docs';
    sendAnswer(ctx.req, ctx.res, answer);
  });
  app.on('error', (error: unknown) => ports.log.error({ err: error }, 'answer failed'));
  return app;
}

/** The one error contract: whatever a handler throws becomes a problem here, and nowhere else. */
function createAnswerErrors(ports: AppPorts): Middleware<State> {
  const findClientAddress = createFindClientAddress(ports.trustedProxies, (address) => {
    // Once, because anybody who can connect can send the header, and must not be able to fill the log.
    ports.log.warn({ address, advice: adviseProxy(address) }, 'X-Forwarded-For ignored');
  });
  return async (ctx, next) => {
    // Answers are written by `sendAnswer` alone, not header by header through Koa.
    ctx.respond = false;
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
      refuse(ctx, record, error, ports);
    }
  };
}

function adviseProxy(address: string): string {
  return `If ${address} is your reverse proxy, add it to the configuration and restart: http: {trusted_proxies: ["${address}"]}. Until then, all its clients share its address, and its limit of failed logins.`;
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
  const problem = buildProblem(error, record.id);
  const { status, code } = problem;
  if (code === 'internal') ports.log.error({ err: error, request: record.id }, 'internal error');
  const reason = status >= 500 ? describeReason(error) : undefined;
  finish(ports, record, { method, status, code, reason });
  if (res.headersSent) res.destroy();
  else sendAnswer(req, res, problem);
}

/** Of a bounce only the condition: its sentence contains the address of the recipient. */
function describeReason(error: unknown): string | undefined {
  if (error instanceof GatewayError && error.code === 'bounced') {
    return error.options.stanzaError?.condition;
  }
  return error instanceof Error ? describeWithCause(error) : undefined;
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
  const add = (path: RegExp, route: RequestRecord['route'], handle: Handle): void => {
    router.all(path, async (ctx) => {
      const { record } = ctx.state;
      record.route = route;
      const answer = await handle(ctx, record, ...(ctx.captures ?? []));
      if ('parts' in answer) await streamAnswer(ctx.req, ctx.res, answer);
      else sendAnswer(ctx.req, ctx.res, answer);
    });
  };
  const postMessage = createPostMessage(ports);
  add(userPath, 'user', postMessage);
  add(apiPath, 'api', postMessage);
  add(aclPath, 'acl', createAnswerAcl(ports));
  add(/^\/livez$/, 'health', answerLivez);
  add(/^\/readyz$/, 'health', (ctx) => answerReadyz(ctx, ports.readiness()));
  add(/^\/problems\/([^/]+)$/, 'problems', (ctx, _, code) => answerProblemPage(ctx, code));
  const { docs, openApi } = ports;
  add(/^\/openapi\.json$/, 'docs', (ctx) => answerOpenApi(ctx, openApi));
  if (docs !== undefined) {
    add(/^\/docs(?:\/([^/]+))?$/, 'docs', (ctx, _, name) => answerDocs(ctx, docs, name));
  }
  return router;
}
