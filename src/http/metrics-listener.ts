import { createServer } from 'node:http';

/** Where Prometheus reads. */
export interface MetricsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly read: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

/** A listener of its own, so that metrics are not where clients are. */
export interface MetricsListener {
  start(): Promise<number>;
  stop(): Promise<void>;
}

const deadlineMs = 10_000;
const maxConnections = 100;

/** Creates the listener, which answers `GET /metrics` and nothing else. */
export function createMetricsListener({
  host,
  port,
  read,
}: MetricsListenerOptions): MetricsListener {
  const server = createServer(
    { headersTimeout: deadlineMs, requestTimeout: deadlineMs, maxHeaderSize: 16 * 1024 },
    (req, res) => {
      const isRead = req.method === 'GET' || req.method === 'HEAD';
      if (req.url !== '/metrics' || !isRead) {
        res.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is only GET /metrics.\n');
        return;
      }
      read().then(
        ({ contentType, text }) => res.writeHead(200, { 'Content-Type': contentType }).end(text),
        () => res.writeHead(500).end(),
      );
    },
  );
  server.maxConnections = maxConnections;
  return {
    start: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, () => {
          server.off('error', reject);
          const address = server.address();
          resolve(typeof address === 'object' && address !== null ? address.port : port);
        });
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
