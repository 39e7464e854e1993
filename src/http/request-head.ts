import type { IncomingMessage } from 'node:http';

/** What tells of a request before its target is looked at. */
export type RequestHead = Pick<IncomingMessage, 'httpVersion' | 'headers' | 'rawHeaders'>;

const maxHeaders = 100;

/** Of these Node keeps the first of several; whoever stands in front of us may have read the last. */
const singular = new Map([
  ['host', 1],
  ['authorization', 2],
  ['content-type', 4],
]);

/** RFC 9110 §7.2: a name or an address, and a port. */
const hostFormat = /^(?:\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(?::\d*)?$/i;

/**
 * Finds the status that refuses a request which Node's parser lets pass, and which a proxy in front
 * may read as another one than we do (RFC 9112 §11.2); undefined for all others.
 */
export function findHeadRefusal({
  httpVersion,
  headers,
  rawHeaders,
}: RequestHead): number | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 505;
  // Node drops what exceeds its own limit, without a word.
  if (rawHeaders.length > 2 * maxHeaders) return 431;
  // RFC 9112 §3.2
  if (!hostFormat.test(headers.host ?? '') || hasRepeated(rawHeaders)) return 400;
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  // RFC 9112 §6.1
  if (httpVersion === '1.0' || coding === '') return 400;
  return coding.toLowerCase() === 'chunked' ? undefined : 501;
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
