import { hash } from 'node:crypto';
import { GatewayError } from '../../core/errors.ts';

/** An Idempotency-Key and whose it is: the same key of two callers is two keys. */
export interface CallerKey {
  readonly caller: string;
  readonly key: string;
}

/**
 * Reads the header (draft-ietf-httpapi-idempotency-key-header-07 §2.1): 1 to 255 visible characters,
 * bare or as a string of RFC 9651 §3.3.3. Undefined without header; throws GatewayError
 * `invalid-message`.
 */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header) ?? [];
  const key = quoted === undefined ? header : quoted.replace(/\\(.)/g, '$1');
  if (/^[!-~]{1,255}$/.test(key)) return key;
  throw new GatewayError(
    'invalid-message',
    'Idempotency-Key: expected 1 to 255 visible ASCII characters, in double quotes or bare.',
  );
}

/** The id of the stanza that a request with this key sends, however often it is sent. */
export function deriveStanzaId({ caller, key }: CallerKey): string {
  return hash('sha256', JSON.stringify([caller, key]), 'base64url');
}
