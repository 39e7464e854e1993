import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import type { Secret } from '../core/secret.ts';
import { createConnections } from './connections.ts';
import { refuseConnection, refuseMalformed } from './parser-refusal.ts';

/** Where to listen, and with which certificate. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Certificate chain and private key, in PEM; undefined serves plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: Secret } | undefined;
}

/** An HTTP server around an app. */
export interface Listener {
  /** Resolves with the port as soon as connections are accepted. */
  start(): Promise<number>;
  /** Accepts nothing new, lets what is in flight finish, and cuts off what is left after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/** What one connection may take: all of its headers, and its whole request. */
const deadlines = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  // longer than proxies commonly keep theirs (60 s), so that they never reuse one that is closing
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
} as const;
const tlsHandshakeTimeoutMs = 10_000;
const maxConnections = 10_000;

/** Creates the server; nothing listens before `start()`. */
export function createListener(app: Koa, options: ListenerOptions): Listener {
  const server = createServer(options.tls);
  const connections = createConnections(server);
  const answer = app.callback();
  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    connections.add(res);
    void answer(req, res);
  };
  server.maxConnections = maxConnections;
  server.on('request', onRequest);
  // whoever reads the body sends the 100, not Node
  server.on('checkContinue', onRequest);
  server.on('clientError', (error, socket) => {
    refuseMalformed(error, socket, connections.responsesOn(socket));
  });
  server.on('connect', (_req, socket: Duplex) => refuseConnection(socket, 404));
  return {
    start: () => listen(server, options),
    stop: async (timeoutMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await connections.finish(timeoutMs);
      connections.destroy();
      await closed;
    },
  };
}

function createServer(tls: ListenerOptions['tls']): http.Server {
  if (tls === undefined) return http.createServer(deadlines);
  return https.createServer({
    ...deadlines,
    cert: tls.cert,
    key: tls.key.reveal(),
    minVersion: 'TLSv1.2',
    handshakeTimeout: tlsHandshakeTimeoutMs,
  });
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
