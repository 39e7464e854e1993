import type { IncomingMessage } from 'node:http';

/** What tells of a request before its target is looked at. */
export type RequestHead = Pick<IncomingMessage, 'httpVersion' | 'headers' | 'rawHeaders'>;

/** Most header lines of a request. */
export const maxHeaders = 100;

/** Why a request is refused for its head: the status, and a phrase for the log. */
export interface HeadRefusal {
  readonly status: number;
  readonly reason: string;
}

/** Of these Node keeps the first of several; whoever stands in front of us may have read the last. */
const singular = new Map([
  ['host', 1],
  ['authorization', 2],
  ['content-type', 4],
]);

/** RFC 9110 §7.2: a name or an address, and a port. */
const hostFormat = /^(?:\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(?::\d*)?$/i;

/**
 * Finds why to refuse a request which Node's parser lets pass, and which a proxy in front may read
 * as another one than we do (RFC 9112 §11.2); undefined for all others.
 */
export function findHeadRefusal({
  httpVersion,
  headers,
  rawHeaders,
}: RequestHead): HeadRefusal | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return { status: 505, reason: 'unknown version of HTTP' };
  }
  if (rawHeaders.length > 2 * maxHeaders) return { status: 431, reason: 'too many header lines' };
  // RFC 9112 §3.2
  if (httpVersion === '1.1' && headers.host === undefined) return badRequest('no Host header');
  if (!hostFormat.test(headers.host ?? '')) return badRequest('malformed Host header');
  if (hasRepeated(rawHeaders)) return badRequest('repeated header');
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  // RFC 9112 §6.1
  if (httpVersion === '1.0' || coding === '') return badRequest('unexpected Transfer-Encoding');
  if (coding.toLowerCase() === 'chunked') return undefined;
  return { status: 501, reason: 'unknown Transfer-Encoding' };
}

function badRequest(reason: string): HeadRefusal {
  return { status: 400, reason };
}

function hasRepeated(rawHeaders: readonly string[]): boolean {
  let seen = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const bit = singular.get(rawHeaders[index]?.toLowerCase() ?? '') ?? 0;
    if ((seen & bit) !== 0) return true;
    seen |= bit;
  }
  return false;
}
