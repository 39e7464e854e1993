import { GatewayError } from '../../core/errors.ts';
import { JidError, parseDomain, parseLocalpart } from '../../core/jid/jid.ts';
import { decodeSegment, notFound } from './url.ts';

/** The localpart that a path segment means; throws GatewayError `not-found`. */
export function parseUsername(segment: string): string {
  const username = orElse(() => parseLocalpart(decodeSegment(segment)), notFound);
  // A proxy may take them for dot segments (RFC 3986 §5.2.4).
  if (username === '.' || username === '..') throw notFound();
  return username;
}

/** Finds the served domain that an <fqdn> means; throws GatewayError `unknown-domain`. */
export function createFindDomain(domains: readonly string[]): (fqdn: string) => string {
  const served = new Set(domains.map(parseDomain));
  return (fqdn) => {
    if (served.has(fqdn)) return fqdn;
    const domain = orElse(() => parseDomain(fqdn), unknownDomain);
    if (!served.has(domain)) throw unknownDomain();
    return domain;
  };
}

function unknownDomain(cause?: unknown): GatewayError {
  const detail = 'Expected one of the domains that the gateway is configured for as <fqdn>.';
  return new GatewayError('unknown-domain', detail, { cause });
}

function orElse<T>(parse: () => T, refusal: (cause: unknown) => GatewayError): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof JidError ? refusal(error) : error;
  }
}
