import { GatewayError } from '../../core/errors.ts';
import { JidError, parseDomain, parseLocalpart } from '../../core/jid/jid.ts';

/**
 * Parses the target of a request into its path and query: an origin-form of printable ASCII, or an
 * absolute-form with the host of the request (RFC 9112 §3.2). Throws GatewayError `not-found`.
 */
export function parseOriginForm(target: string, host: string | undefined): string {
  const originForm = target.startsWith('/') ? target : withoutOwnHost(target, host);
  // RFC 3986 does not allow these characters, and a proxy in front of us may read them differently.
  if (!/^\/[!-~]*$/.test(originForm) || /[#\\]/.test(originForm)) throw notFound();
  return originForm;
}

/** Decodes a path segment, once; throws `not-found` if it is not percent-encoded UTF-8. */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw notFound(cause);
  }
}

/** The refusal of a URL that does not exist. */
export function notFound(cause?: unknown): GatewayError {
  return new GatewayError(
    'not-found',
    'Expected /api/1.0/xmppdomains/<fqdn>/gateway/messages or the same with /<username>: exactly so, ' +
      'percent-encoded UTF-8, and <username> a localpart (RFC 7622 §3.3).',
    { cause },
  );
}

/** Refuses a method that the URL does not support; `allow` lists those it does (RFC 9110 §15.5.6). */
export function requireMethod(method: string, allow: readonly string[]): void {
  if (allow.includes(method)) return;
  throw new GatewayError('method-not-allowed', `Expected ${allow.join(' or ')}, got ${method}.`, {
    allow,
  });
}

function withoutOwnHost(target: string, host: string | undefined): string {
  const match = /^https?:\/\/([^/?#]*)(.*)$/is.exec(target);
  const [, authority = '', rest = ''] = match ?? [];
  if (authority.toLowerCase() !== host?.toLowerCase()) throw notFound();
  return rest;
}

/** Parses a path segment as a localpart; throws GatewayError `not-found`. */
export function parseUsername(segment: string): string {
  const username = orElse(() => parseLocalpart(decodeSegment(segment)), notFound);
  // A proxy may treat these as dot segments (RFC 3986 §5.2.4).
  if (username === '.' || username === '..') throw notFound();
  return username;
}

/** Creates a function that finds the served domain of an <fqdn>; it throws GatewayError `unknown-domain`. */
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
