import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { Secret } from '../../core/secret.ts';
import { Connections, findConnectionLimit, type OnDrop } from './connections.ts';
import { createIntake } from './intake.ts';
import {
  findHeadRefusal,
  type HeadRefusal,
  maxHeaders,
  refuseConnection,
  refuseMalformed,
  refuseRequest,
} from './refusals.ts';

/** A certificate chain and its private key, in PEM. */
export interface ListenerCertificate {
  readonly cert: string;
  readonly key: Secret;
}

/** Where to listen, and with which certificate. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Plain HTTP without it. */
  readonly tls: ListenerCertificate | undefined;
}

/** What clients may use: deadlines in milliseconds, and connections. */
export interface ClientLimits {
  /** For all headers of a request, from its first byte or from the opening of the connection. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** Between two requests on one connection. */
  readonly keepAliveMs: number;
  /** For reading the next bytes of an answer. */
  readonly stalledMs: number;
  /** How often the first two are checked. */
  readonly checkMs: number;
  readonly connections: number;
}

/** Answers one request; a promise is not awaited and must not be rejected. */
export type AnswerRequest = (req: IncomingMessage, res: ServerResponse) => unknown;

/** A refusal that happened before the request reached the application. */
export interface RefusedRequest {
  readonly status: number;
  readonly reason: string;
  readonly method: string | undefined;
  /** Of the client, or of the proxy in front of us. */
  readonly address: string | undefined;
}

/** Called for what the application does not see. */
export interface ListenerEvents {
  readonly onDrop: OnDrop;
  readonly onRefused: (refused: RefusedRequest) => void;
}

/** An HTTP server for one application. */
export interface Listener {
  /** Resolves with the port once connections are accepted. */
  start(): Promise<number>;
  /** Uses this certificate for new connections; open ones continue. Without TLS it does nothing. */
  renewCertificate(certificate: ListenerCertificate): void;
  /** Accepts no new connections, lets open requests finish, and cuts off the rest after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

const deadlines: Omit<ClientLimits, 'connections'> = {
  headersMs: 10_000,
  requestMs: 30_000,
  // Longer than proxies usually keep theirs (60 s), so that they never reuse one that is closing.
  keepAliveMs: 65_000,
  stalledMs: 30_000,
  checkMs: 1_000,
};
const maxHeaderSize = 16 * 1024;
const tlsHandshakeTimeoutMs = 10_000;

/** Returns the default limits. */
export function defaultClientLimits(): ClientLimits {
  return { ...deadlines, connections: findConnectionLimit() };
}

/** Creates the server; it does not listen before `start()`. */
export function createListener(
  answer: AnswerRequest,
  options: ListenerOptions,
  events: ListenerEvents,
  limits: ClientLimits = defaultClientLimits(),
): Listener {
  const server = createServer(options.tls, limits);
  const connections = new Connections(server, limits.connections, events.onDrop);
  answerRequests(server, connections, answer, events);
  return {
    start: () => listen(server, options),
    renewCertificate: (certificate) => {
      if (server instanceof https.Server) server.setSecureContext(tlsOptions(certificate));
    },
    stop: async (timeoutMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await connections.finish(timeoutMs);
      connections.destroy();
      await closed;
    },
  };
}

/** Passes the requests of the server to `answer`, those of a connection one after another. */
function answerRequests(
  server: http.Server | https.Server,
  connections: Connections,
  answer: AnswerRequest,
  { onDrop, onRefused }: ListenerEvents,
): void {
  const intake = createIntake(server, () => onDrop('held'));
  const handle = (
    req: IncomingMessage,
    res: ServerResponse,
    refusal: HeadRefusal | undefined,
  ): void => {
    connections.add(res);
    intake.add(res, () => {
      if (refusal === undefined) {
        void answer(req, res);
        return;
      }
      // After a refused head, the rest of the connection cannot be trusted.
      intake.end(req.socket);
      refuseRequest(req, res, refusal.status);
      onRefused({ ...refusal, method: req.method, address: req.socket.remoteAddress });
    });
  };
  const onRequest = (req: IncomingMessage, res: ServerResponse): void =>
    handle(req, res, findHeadRefusal(req));
  server.on('request', onRequest);
  // The reader of the body sends the 100, not Node.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) =>
    handle(req, res, { status: 417, reason: 'unknown expectation' }),
  );
  server.on('timeout', (socket: Socket) => {
    const [oldest] = connections.responsesOn(socket);
    // An answer that is still being prepared has other deadlines.
    if (oldest === undefined || oldest.headersSent) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const address = socket.remoteAddress;
    const responses = connections.responsesOn(socket);
    // An answer that began before the end of its request has its own deadlines.
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && responses[0]?.headersSent === true) return;
    intake.stopReading(socket);
    const status = refuseMalformed(error, socket, responses);
    if (status === undefined) return;
    onRefused({ status, reason: error.code ?? error.message, method: undefined, address });
  });
  server.on('connect', (req: IncomingMessage, socket: Socket) => {
    // Node has removed its own listener, and the answer may meet a reset.
    socket.on('error', () => socket.destroy());
    intake.end(socket);
    const refuse = (): void => {
      refuseConnection(socket, 404);
      const address = socket.remoteAddress;
      onRefused({ status: 404, reason: 'no proxy', method: req.method, address });
    };
    // It may have arrived in one piece with the end of the request before it, whose answer comes first.
    const pending = connections.responsesOn(socket).at(-1);
    if (pending === undefined) refuse();
    else if (pending.headersSent) pending.once('close', refuse);
    else pending.setHeader('Connection', 'close');
  });
}

function createServer(
  certificate: ListenerCertificate | undefined,
  { headersMs, requestMs, keepAliveMs, stalledMs, checkMs }: ClientLimits,
): http.Server | https.Server {
  const options: http.ServerOptions = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: checkMs,
    maxHeaderSize,
    // Refused like other bad heads: Node would do so without an event for the log.
    requireHostHeader: false,
  };
  const server =
    certificate === undefined
      ? http.createServer(options)
      : https.createServer({
          ...options,
          ...tlsOptions(certificate),
          handshakeTimeout: tlsHandshakeTimeoutMs,
          // As with plain HTTP: the answers go out on the half that is still open.
          allowHalfOpen: true,
        });
  server.timeout = stalledMs;
  // Node drops the lines beyond the limit, so one more than allowed shows that there were too many.
  server.maxHeadersCount = maxHeaders + 1;
  return server;
}

function tlsOptions({ cert, key }: ListenerCertificate): SecureContextOptions {
  return { cert, key: key.reveal(), minVersion: 'TLSv1.2' };
}

function listen(server: http.Server, { host, port }: ListenerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
