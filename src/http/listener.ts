import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type Koa from 'koa';
import type { Secret } from '../core/secret.ts';
import { findConnectionLimit } from './connection-limit.ts';
import { createConnections } from './connections.ts';
import { refuseConnection, refuseMalformed, refuseRequest } from './parser-refusal.ts';
import { findHeadRefusal } from './request-head.ts';

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

/** An HTTP server around an app. */
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

/** Creates the server; nothing listens before `start()`. */
export function createListener(
  app: Koa,
  options: ListenerOptions,
  limits: ClientLimits = { ...deadlines, connections: findConnectionLimit() },
): Listener {
  const server = createServer(options.tls, limits);
  const connections = createConnections(server, limits.connections);
  const answer = app.callback();
  const refused = new WeakSet<Duplex>();
  const handle = (req: IncomingMessage, res: ServerResponse, status: number | undefined): void => {
    // What comes behind a request that was refused for its head is not to be believed.
    if (refused.has(req.socket)) return;
    connections.add(res);
    if (status === undefined) {
      void answer(req, res);
    } else {
      refused.add(req.socket);
      refuseRequest(req, res, status);
    }
  };
  const onRequest = (req: IncomingMessage, res: ServerResponse): void =>
    handle(req, res, findHeadRefusal(req));
  server.on('request', onRequest);
  // whoever reads the body sends the 100, not Node
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) =>
    handle(req, res, 417),
  );
  server.on('timeout', (socket: Socket) => {
    const [oldest] = connections.responsesOn(socket);
    // An answer that is still being made has deadlines of its own.
    if (oldest === undefined || oldest.headersSent) socket.destroy();
  });
  server.on('clientError', (error, socket) => {
    refuseMalformed(error, socket, connections.responsesOn(socket));
  });
  server.on('connect', (_req, socket: Duplex) => refuseConnection(socket, 404));
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
  };
  const server =
    certificate === undefined
      ? http.createServer(options)
      : https.createServer({
          ...options,
          ...tlsOptions(certificate),
          handshakeTimeout: tlsHandshakeTimeoutMs,
        });
  server.timeout = stalledMs;
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
