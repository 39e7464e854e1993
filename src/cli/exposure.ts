import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/cross-checks.ts';

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
