import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../../core/errors.ts';
import type { Notation } from './media-type.ts';

/**
 * Refuses what a foreign web page can make a browser send without asking: forms and plain text, with
 * the credentials that the browser remembers (Fetch Metadata §2.1; RFC 6454 §7). Throws `cross-origin`.
 */
export function refuseForeignPage(headers: IncomingHttpHeaders, notation: Notation): void {
  if (notation !== 'form' && notation !== 'text') return;
  const site = headers['sec-fetch-site'];
  const isForeign =
    site === 'cross-site' ||
    site === 'same-site' ||
    (headers.origin !== undefined && !isOwnOrigin(headers.origin, headers.host ?? ''));
  if (!isForeign) return;
  throw new GatewayError(
    'cross-origin',
    'A page of another site may not send forms or plain text here. Send application/json, or send from a program.',
  );
}

/** The scheme may differ, because a proxy in front of the gateway may end TLS. */
function isOwnOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const own = `${url.protocol}//${host}`;
  return URL.canParse(own) && url.host !== '' && new URL(own).host === url.host;
}
