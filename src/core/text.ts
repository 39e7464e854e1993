import { GatewayError } from './errors.ts';

/** Shortens a text for an error message. */
export function abbreviate(text: string, longest = 60): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Quotes a text for an error message: abbreviated, escaped, in double quotes. */
export function quote(text: string): string {
  return JSON.stringify(abbreviate(text));
}

/** Describes an error; for an AggregateError without a message (a dual-stack connect), its first error. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return error.message.trim() || (inner === undefined ? error.name : describeError(inner));
}

/** Describes an error and, after a colon, its cause. For logs only: callers must not see the cause. */
export function describeWithCause(error: Error): string {
  return error.cause === undefined
    ? error.message
    : `${error.message.replace(/\.$/, '')}: ${describeError(error.cause)}`;
}

// `ignoreBOM: true` keeps a byte order mark in the text; the parsers then skip exactly one.
const utf8Options = { fatal: true, ignoreBOM: true } as const;
const decoder = new TextDecoder('utf-8', utf8Options);

/** Decodes a body as UTF-8 and keeps a byte order mark; throws GatewayError `malformed-body`. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const detail = `The body is not UTF-8: the fault is at byte ${findIllFormed(bytes) + 1}.`;
    throw new GatewayError('malformed-body', detail, { cause });
  }
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
