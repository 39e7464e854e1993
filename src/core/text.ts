import { GatewayError } from './errors.ts';

/** A text that is short enough for an error message. */
export function abbreviate(text: string, longest = 60): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** A text as it may stand in an error message: abbreviated, escaped, in double quotes. */
export function quote(text: string): string {
  return JSON.stringify(abbreviate(text));
}

/** The words of an error, those of a dual-stack connect one level deeper included. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return error.message.trim() || (inner === undefined ? error.name : describeError(inner));
}

/** The words of an error and, behind a colon, of what caused it: for logs, never for callers. */
export function describeWithCause(error: Error): string {
  return error.cause === undefined
    ? error.message
    : `${error.message.replace(/\.$/, '')}: ${describeError(error.cause)}`;
}

// ignoreBOM keeps a byte order mark in the text: the parsers ignore exactly one.
const utf8Options = { fatal: true, ignoreBOM: true } as const;
const decoder = new TextDecoder('utf-8', utf8Options);

/** The text of a body in UTF-8, a byte order mark included; throws GatewayError `malformed-body`. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const detail = `The body is not UTF-8: the fault is at byte ${findIllFormed(bytes) + 1}.`;
    throw new GatewayError('malformed-body', detail, { cause });
  }
}

/** Index of the byte that makes the bytes ill-formed; their length when a sequence is cut off. */
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
