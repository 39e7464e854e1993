import { readFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { Secret } from '../../core/secret.ts';
import { type Connections, createConnections, type OnDrop } from './connections.ts';
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
  /** undefined serves plain HTTP. */
  readonly tls: ListenerCertificate | undefined;
}

/** What clients may take: deadlines in milliseconds, and connections. */
export interface ClientLimits {
  /** For all the headers of a request, from its first byte or the opening of the connection. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** Between two requests on one connection. */
  readonly keepAliveMs: number;
  /** For taking the next bytes of an answer. */
  readonly stalledMs: number;
  /** How often the first two are looked at. */
  readonly checkMs: number;
  readonly connections: number;
}

/** Answers one request; a promise is not waited for, and must not be rejected. */
export type AnswerRequest = (req: IncomingMessage, res: ServerResponse) => unknown;

/** What was refused before it became a request with a record of its own. */
export interface RefusedRequest {
  readonly status: number;
  readonly reason: string;
  readonly method: string | undefined;
  /** Of the client, or of the proxy in front. */
  readonly address: string | undefined;
}

/** Who hears of what the callers' own answers do not show. */
export interface ListenerEvents {
  readonly onDrop: OnDrop;
  readonly onRefused: (refused: RefusedRequest) => void;
}

/** An HTTP server around what answers its requests. */
export interface Listener {
  /** Resolves with the port as soon as connections are accepted. */
  start(): Promise<number>;
  /** New connections get this certificate, those that are open go on; for a server with TLS only. */
  renewCertificate(certificate: ListenerCertificate): void;
  /** Accepts nothing new, lets what is in flight finish, and cuts off what is left after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

const deadlines: Omit<ClientLimits, 'connections'> = {
  headersMs: 10_000,
  requestMs: 30_000,
  // longer than proxies commonly keep theirs (60 s), so that they never reuse one that is closing
  keepAliveMs: 65_000,
  stalledMs: 30_000,
  checkMs: 1_000,
};
const maxHeaderSize = 16 * 1024;
const tlsHandshakeTimeoutMs = 10_000;

/** What clients may take, unless a listener says otherwise. */
export function defaultClientLimits(): ClientLimits {
  return { ...deadlines, connections: findConnectionLimit() };
}

/** Creates the server; nothing listens before `start()`. */
export function createListener(
  answer: AnswerRequest,
  options: ListenerOptions,
  events: ListenerEvents,
  limits: ClientLimits = defaultClientLimits(),
): Listener {
  const server = createServer(options.tls, limits);
  const connections = createConnections(server, limits.connections, events.onDrop);
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

/** Lets `answer` have the requests of the server, those of a connection one after another. */
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
      // What comes behind a request that was refused for its head is not to be believed.
      intake.end(req.socket);
      refuseRequest(req, res, refusal.status);
      onRefused({ ...refusal, method: req.method, address: req.socket.remoteAddress });
    });
  };
  const onRequest = (req: IncomingMessage, res: ServerResponse): void =>
    handle(req, res, findHeadRefusal(req));
  server.on('request', onRequest);
  // whoever reads the body sends the 100, not Node
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) =>
    handle(req, res, { status: 417, reason: 'unknown expectation' }),
  );
  server.on('timeout', (socket: Socket) => {
    const [oldest] = connections.responsesOn(socket);
    // An answer that is still being made has deadlines of its own.
    if (oldest === undefined || oldest.headersSent) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const address = socket.remoteAddress;
    intake.stopReading(socket);
    const status = refuseMalformed(error, socket, connections.responsesOn(socket));
    if (status === undefined) return;
    onRefused({ status, reason: error.code ?? error.message, method: undefined, address });
  });
  server.on('connect', (req: IncomingMessage, socket: Socket) => {
    // Node has taken its own listener away, and the answer may meet a reset.
    socket.on('error', () => socket.destroy());
    intake.end(socket);
    refuseConnection(socket, 404);
    const address = socket.remoteAddress;
    onRefused({ status: 404, reason: 'no proxy', method: req.method, address });
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
    // refused like other bad heads, not by Node, which says nothing of it to anybody
    requireHostHeader: false,
  };
  const server =
    certificate === undefined
      ? http.createServer(options)
      : https.createServer({
          ...options,
          ...tlsOptions(certificate),
          handshakeTimeout: tlsHandshakeTimeoutMs,
          // as plain HTTP has it: the answers go out on the half that is still open
          allowHalfOpen: true,
        });
  server.timeout = stalledMs;
  // Node drops the lines beyond it: one more than allowed shows that there are too many.
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

/** Most connections, however many files the process may have open. */
const mostConnections = 10_000;

/** Files for the component stream, password checks, and what Node.js itself keeps open. */
const reservedFiles = 256;

/** How many connections the process may have open, so that files are left for all else. */
export function findConnectionLimit(): number {
  return parseConnectionLimit(readLimits());
}

/** The same from the text of `/proc/self/limits`; Node.js has raised the soft limit by itself. */
export function parseConnectionLimit(limits: string): number {
  const files = Number(
    /^Max open files +(\d+)/m.exec(limits)?.[1] ?? mostConnections + reservedFiles,
  );
  return Math.min(mostConnections, Math.max(Math.floor(files / 2), files - reservedFiles));
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Only Linux has the file.
    return '';
  }
}
