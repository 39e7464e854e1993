import { isUtf8 } from 'node:buffer';

/** A user name and a password; neither is empty or contains control characters. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** The credentials of a request, or why it has none. */
export type PresentedCredentials = Credentials | 'missing' | 'malformed' | 'not-utf8';

/** `Basic` and one base64 token (RFC 7617 §2); some clients omit the padding. */
const basic = /^basic +([a-z0-9+/]+)={0,2}$/i;

/** C0, DEL and C1: forbidden by RFC 7617 §2 and by SASLprep (RFC 4013 §2.3). */
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

/** Parses an `Authorization` header; a scheme other than Basic is malformed. */
export function parseBasicCredentials(header: string | undefined): PresentedCredentials {
  if (header === undefined) return 'missing';
  const bytes = decode(header);
  if (bytes === undefined) return 'malformed';
  if (!isUtf8(bytes)) return 'not-utf8';
  const text = bytes.toString('utf8');
  if (controlCharacter.test(text)) return 'malformed';
  // RFC 7617 §2: the first colon ends the user-id; the password may contain more of them.
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) return 'malformed';
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decode(header: string): Buffer | undefined {
  const token = basic.exec(header)?.[1];
  // A single character after the groups of four has only 6 bits, less than a byte (RFC 4648 §4).
  if (token === undefined || token.length % 4 === 1) return undefined;
  return Buffer.from(token, 'base64');
}
