import { X509Certificate } from 'node:crypto';
import type { Config } from '../config/config.ts';
import type { Finding } from './check/finding.ts';

/** Why clients do not trust the certificate of the HTTP listener today; undefined where it is in date. */
export function datesFault({ tls }: Config['http'], now = new Date()): string | undefined {
  if (tls === undefined) return undefined;
  const { validFrom, validTo } = new X509Certificate(tls.cert);
  if (new Date(validTo) < now) return `the certificate has expired (${validTo})`;
  return new Date(validFrom) > now ? `the certificate is not valid before ${validFrom}` : undefined;
}

/** Until when the certificate is good, without TLS nothing; it has been proven to fit its key. */
export function checkCertificate(http: Config['http']): readonly Finding[] {
  if (http.tls === undefined) return [];
  const fault = datesFault(http);
  const { validTo } = new X509Certificate(http.tls.cert);
  if (fault === undefined) {
    return [{ isGood: true, text: `http.tls: certificate and key fit, valid until ${validTo}` }];
  }
  const advice = 'Renew it, and send SIGHUP to the gateway if it runs.';
  return [{ isGood: false, text: `http.tls: ${fault}`, advice }];
}
