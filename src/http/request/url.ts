import { GatewayError } from '../../core/errors.ts';

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
