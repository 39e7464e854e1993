import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createListener,
  defaultClientLimits,
  type ListenerEvents,
} from '../http/server/listener.ts';

/** Where Prometheus reads the metrics. */
export interface MetricsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly read: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly events: ListenerEvents;
}

/** A second listener, because clients of the API must not see the metrics. */
export interface MetricsListener {
  start(): Promise<number>;
  stop(): Promise<void>;
}

const maxConnections = 100;

/** Creates a listener that only answers `GET /metrics`. */
export function createMetricsListener({
  host,
  port,
  read,
  events,
}: MetricsListenerOptions): MetricsListener {
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    const isRead = req.method === 'GET' || req.method === 'HEAD';
    if (req.url !== '/metrics' || !isRead) {
      res.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is only GET /metrics.\n');
      return;
    }
    read().then(
      ({ contentType, text }) => res.writeHead(200, { 'Content-Type': contentType }).end(text),
      () => res.writeHead(500).end(),
    );
  };
  const limits = { ...defaultClientLimits(), connections: maxConnections };
  const listener = createListener(answer, { host, port, tls: undefined }, events, limits);
  return { start: listener.start, stop: () => listener.stop(0) };
}
