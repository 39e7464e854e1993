import { GatewayError } from '../../core/errors.ts';
import { JidError, parseDomain, parseLocalpart } from '../../core/jid/jid.ts';
import { abbreviate } from '../../core/text.ts';

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

const messageUrls = '/api/1.0/xmppdomains/<fqdn>/gateway/messages or the same with /<username>';

/** The refusal of a URL that does not exist. */
export function notFound(cause?: unknown): GatewayError {
  const detail =
    cause instanceof JidError
      ? `The user name in the URL cannot be one. ${cause.message}`
      : `Expected ${messageUrls}: exactly so, percent-encoded UTF-8.`;
  return new GatewayError('not-found', detail, { cause });
}

/** The refusal of a path that no URL of the gateway has, with the one that may be meant. */
export function nothingAt(path: string, hasDocs: boolean): GatewayError {
  const meant = findMeantPath(path, hasDocs);
  if (meant !== undefined) {
    const rule = 'Paths are exact: every part, slash and capital letter counts.';
    return new GatewayError('not-found', `Did you mean ${abbreviate(meant, 200)}? ${rule}`);
  }
  const docs = `${hasDocs ? '/docs explains the API, ' : ''}/openapi.json describes it for programs`;
  return new GatewayError('not-found', `Expected ${messageUrls}. ${docs}.`);
}

/** The two parts of a message URL that are not fixed, in a path that has most of the others. */
const nearMessagePath =
  /\/(?:api|1\.0|xmppdomains?)\/+(?!(?:1\.0|xmppdomains?|gateway)\/)([^/]+)\/+(?:gateway\/+)?messages?(?:\/+([^/]+))?\/*$/i;

/** The other pages, with slashes at the end or in other letters. */
const nearPage = /^(\/(?:openapi\.json|livez|readyz|docs))\/*$/i;

function findMeantPath(path: string, hasDocs: boolean): string | undefined {
  const near = nearMessagePath.exec(path);
  if (near === null) {
    const page = nearPage.exec(path)?.[1]?.toLowerCase();
    return page === path || (page === '/docs' && !hasDocs) ? undefined : page;
  }
  const [, fqdn = '', username] = near;
  const messages = `/api/1.0/xmppdomains/${fqdn}/gateway/messages`;
  return username === undefined ? messages : `${messages}/${username}`;
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

/** Parses a path segment, after that of the domain, as a localpart; throws GatewayError `not-found`. */
export function parseUsername(segment: string, fqdn: string): string {
  const text = decodeSegment(segment);
  const [name = '', domain] = text.split('@');
  if (name !== '' && domain?.toLowerCase() === decodeSegment(fqdn).toLowerCase()) {
    const way = `Write only ${abbreviate(name)}: the domain is in the URL already.`;
    throw new GatewayError('not-found', `The user name in the URL has a domain. ${way}`);
  }
  const username = orElse(() => parseLocalpart(text), notFound);
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
