import http, { type RequestListener, type ServerOptions } from 'node:http';
import { onTestFinished } from 'vitest';
import type { ListenerEvents } from '../../../src/http/server/listener.ts';

/** A bare Node server on loopback, for the duration of one test. */
export async function serve(
  onRequest: RequestListener,
  options: ServerOptions = {},
): Promise<{ readonly server: http.Server; readonly port: number }> {
  const server = http.createServer(options, onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return { server, port: address.port };
}

/** For a listener whose events are ignored. */
export const noEvents: ListenerEvents = { onDrop: () => {}, onRefused: () => {} };
