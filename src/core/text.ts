import { GatewayError } from './errors.ts';

/** Shortens a text for an error message. */
export function abbreviate(text: string, longest = 60): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** V8 copies slices that are shorter than this anyway (`SlicedString::kMinLength`). */
const minSliceLength = 13;

/** Copies a text that is kept: a slice would keep the whole body that it comes from in memory (V8). */
export function copyText(text: string): string {
  return text.length < minSliceLength ? text : Buffer.from(text, 'utf16le').toString('utf16le');
}

/** Quotes a text for an error message: abbreviated, escaped, in double quotes. */
export function quote(text: string, longest?: number): string {
  return JSON.stringify(abbreviate(text, longest));
}

/** What a body seems to be written in. */
interface Notation {
  readonly name: string;
  readonly mediaType: string;
}

const beginnings: readonly (Notation & { readonly pattern: RegExp })[] = [
  { name: 'JSON', mediaType: 'application/json', pattern: /^\s*(?:\[\s*)?\{/ },
  { name: 'XML', mediaType: 'application/xml', pattern: /^\s*</ },
  {
    name: 'a form',
    mediaType: 'application/x-www-form-urlencoded',
    pattern: /^\s*[\w.%+-]{1,100}=/,
  },
];

/** Guesses by its beginning what a text is written in, for messages about a body that is not what it should be. */
export function guessNotation(text: string): Notation | undefined {
  return beginnings.find(({ pattern }) => pattern.test(text));
}

const controlNames =
  'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(
    ' ',
  );

const invisibleNames: ReadonlyMap<string, string> = new Map([
  [' ', 'a space'],
  ['\t', 'a tab'],
  ['\n', 'a line break'],
  ['\r', 'a line break'],
  ['\u00a0', 'a no-break space'],
  ['\u00ad', 'a soft hyphen'],
  ['\u200b', 'a zero-width space'],
  ['\u200c', 'a zero-width non-joiner'],
  ['\u200d', 'a zero-width joiner'],
  ['\u2060', 'a word joiner'],
  ['\ufeff', 'a byte order mark'],
]);

/**
 * Names a character for somebody who typed it, as the object of a sentence: in quotes, or in words if
 * it cannot be seen.
 */
export function nameCharacter(character: string): string {
  const known = invisibleNames.get(character);
  if (known !== undefined) return known;
  const control = controlNames[character.charCodeAt(0)];
  if (control !== undefined) return `${control} (a control character)`;
  if (/[\p{Cs}]/u.test(character)) return 'half of a character';
  if (/[\p{Zs}]/u.test(character)) return 'an unusual space';
  // Of the marks, variation selectors are invisible, and the others would sit on the quotation mark.
  if (/[\p{C}\p{Z}\p{M}]/u.test(character)) return 'an invisible or combining character';
  return character === '"' ? "'\"'" : `"${character}"`;
}

/** Says where in a text the character at `index` is, for messages: `line 1, column 39`. */
export function describePlace(text: string, index: number): string {
  const lines = text.slice(0, index).split(/\r\n|\r|\n/);
  // A byte order mark is not on the screen; a pair of surrogates is one character there.
  const before = (lines.at(-1) ?? '').replace(/^\ufeff/, '');
  return `line ${lines.length}, column ${Array.from(before).length + 1}`;
}

/** Describes an error; for an AggregateError without a message (a dual-stack connect), its first error. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return error.message.trim() || (inner === undefined ? error.name : describeError(inner));
}

/** Of an error of OpenSSL, only the reason is for people: the rest names places in its sources. */
export function reasonOfOpenSsl(error: unknown): string | undefined {
  const message = error instanceof Error ? error.message : '';
  return /\berror:[0-9A-F]{8}:[^:]*:[^:]*:([^:]+)/.exec(message)?.[1];
}

/**
 * Describes an error and, after a colon, its cause, unless the message contains that already. For logs
 * only: callers must not see the cause.
 */
export function describeWithCause({ message, cause }: Error): string {
  const reason = cause === undefined ? '' : describeError(cause);
  return message.includes(reason) ? message : `${message.replace(/\.$/, '')}: ${reason}`;
}

// `ignoreBOM: true` keeps a byte order mark in the text; the parsers then skip exactly one.
const utf8Options = { fatal: true, ignoreBOM: true } as const;
const decoder = new TextDecoder('utf-8', utf8Options);

/** Decodes a body as UTF-8 and keeps a byte order mark; throws GatewayError `malformed-body`. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (isUtf16(bytes)) throw new GatewayError('malformed-body', 'The body is UTF-16: send UTF-8.');
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const detail = `The body is not UTF-8: the fault is at byte ${findIllFormed(bytes) + 1}. If it is Latin-1, convert it: iconv -f latin1 -t utf-8.`;
    throw new GatewayError('malformed-body', detail, { cause });
  }
}

/**
 * Recognises UTF-16 by its byte order mark, or by the zeros in the first two characters if they are
 * ASCII.
 */
function isUtf16(bytes: Uint8Array): boolean {
  const isZero = (index: number): boolean => bytes[index] === 0;
  const mark = (bytes[0] ?? 1) * 256 + (bytes[1] ?? 1);
  if (mark === 0xfffe || mark === 0xfeff) return true;
  return isZero(0) !== isZero(1) && isZero(0) === isZero(2) && isZero(1) === isZero(3);
}

/** Returns the index of the first ill-formed byte, or the length if the last sequence is cut off. */
function findIllFormed(bytes: Uint8Array): number {
  let wellFormed = 0;
  let illFormed = bytes.length + 1;
  while (illFormed - wellFormed > 1) {
    const middle = (wellFormed + illFormed) >> 1;
    if (isPrefix(bytes.subarray(0, middle))) wellFormed = middle;
    else illFormed = middle;
  }
  return illFormed - 1;
}

function isPrefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', utf8Options).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
