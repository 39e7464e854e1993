import { GatewayError } from '../../core/errors.ts';
import { JidError, parseDomain, parseLocalpart } from '../../core/jid/jid.ts';

/**
 * Reads the target of a request as path and query. Only an origin-form of plain characters passes, or
 * an absolute-form with the request's own host (RFC 9112 §3.2); else `not-found`.
 */
export function parseOriginForm(target: string, host: string | undefined): string {
  const originForm = target.startsWith('/') ? target : withoutOwnHost(target, host);
  // what RFC 3986 has no place for, a proxy in front may read differently
  if (!/^\/[!-~]*$/.test(originForm) || /[#\\]/.test(originForm)) throw notFound();
  return originForm;
}

/** Decodes a path segment, once; `not-found` when it is not percent-encoded UTF-8. */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw notFound(cause);
  }
}

/** The refusal of a URL that the gateway does not have. */
export function notFound(cause?: unknown): GatewayError {
  return new GatewayError(
    'not-found',
    'Expected /api/1.0/xmppdomains/<fqdn>/gateway/messages or the same with /<username>: exactly so, ' +
      'percent-encoded UTF-8, and <username> a localpart (RFC 7622 §3.3).',
    { cause },
  );
}

/** Refuses a method that the URL does not have; `allow` names those it has (RFC 9110 §15.5.6). */
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

/** What the query of a message URL asks for. */
export interface MessageParameters {
  /** Show the stanza instead of sending it. */
  readonly isDryRun: boolean;
}

/** Name and values of each query parameter. */
const knownParameters: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['format', new Set(['json'])],
  ['dry_run', new Set(['true', 'false'])],
]);

/** Reads the query: each parameter at most once, exactly as written; else `invalid-message`. */
export function parseParameters(query: string): MessageParameters {
  const found = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = '', ...rest] = pair.split('=');
    const isRight = rest.length === 0 && knownParameters.get(name)?.has(value) === true;
    if (!isRight || found.has(name)) throw unexpectedParameters();
    found.set(name, value);
  }
  return { isDryRun: found.get('dry_run') === 'true' };
}

function unexpectedParameters(): GatewayError {
  return new GatewayError(
    'invalid-message',
    'Expected no query parameters but dry_run=true or dry_run=false, and format=json, which means ' +
      'nothing; each at most once.',
  );
}
