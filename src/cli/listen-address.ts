import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/cross-checks.ts';

/** Listens briefly to find out whether that is possible; resolves with the error, if any. */
export function tryListening(address: {
  readonly host: string;
  readonly port: number;
}): Promise<Error | undefined> {
  const { host, port } = address;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port }, () => server.close(resolve));
  });
}

/** Whether another process already listens at the address. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** Advises the operator when the gateway cannot listen at the address configured under `key`. */
export function listenAdvice(key: 'http' | 'http.metrics'): string {
  return `Correct ${key}.host and ${key}.port, or run the gateway as a user that may listen there.`;
}

/** Warns if others on the network can read what clients send to the HTTP listener. */
export function httpExposure({ host, tls }: Config['http']): string | undefined {
  if (tls !== undefined || isLoopback(host)) return undefined;
  return 'http.insecure: passwords cross the network in the clear';
}

/** Warns if others can reach the metrics listener, which has neither a password nor TLS. */
export function metricsExposure({ metrics }: Config['http']): string | undefined {
  if (metrics === undefined || isLoopback(metrics.host)) return undefined;
  return 'http.metrics.host: anyone who can reach this address can read the metrics';
}

/** Says why the dates of the HTTP listener's certificate make it invalid now, if they do. */
export function datesFault({ tls }: Config['http'], now = new Date()): string | undefined {
  if (tls === undefined) return undefined;
  const { validFrom, validTo } = new X509Certificate(tls.cert);
  if (new Date(validTo) < now) return `the certificate has expired (${validTo})`;
  return new Date(validFrom) > now ? `the certificate is not valid before ${validFrom}` : undefined;
}
