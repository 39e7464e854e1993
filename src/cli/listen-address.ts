import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/cross-checks.ts';

/** Listens for a moment; resolves with what went wrong. */
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

/** Whether somebody else listens there. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** What an operator can do when the gateway cannot listen at the address that is at `key`. */
export function listenAdvice(error: unknown, key: 'http' | 'http.metrics'): string {
  return isTaken(error)
    ? `If it is the gateway that listens there, ask its /readyz, or stop it first. Else correct ${key}.port.`
    : `Correct ${key}.host and ${key}.port, or run as a user who may listen there.`;
}

/** What everybody on the way to the HTTP listener could read; undefined where nobody can. */
export function httpExposure({ host, tls }: Config['http']): string | undefined {
  if (tls !== undefined || isLoopback(host)) return undefined;
  return 'http.insecure: passwords cross the network in the clear';
}

/** The same of the metrics listener, which knows neither passwords nor TLS. */
export function metricsExposure({ metrics }: Config['http']): string | undefined {
  if (metrics === undefined || isLoopback(metrics.host)) return undefined;
  return 'http.metrics.host: whoever reaches it reads the metrics, without a password';
}

/** Why clients do not trust the certificate of the HTTP listener today; undefined where it is in date. */
export function datesFault({ tls }: Config['http'], now = new Date()): string | undefined {
  if (tls === undefined) return undefined;
  const { validFrom, validTo } = new X509Certificate(tls.cert);
  if (new Date(validTo) < now) return `the certificate has expired (${validTo})`;
  return new Date(validFrom) > now ? `the certificate is not valid before ${validFrom}` : undefined;
}
