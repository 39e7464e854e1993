import { GatewayError } from './errors.ts';

// ignoreBOM keeps a byte order mark in the text: the parsers ignore exactly one.
const options = { fatal: true, ignoreBOM: true } as const;
const decoder = new TextDecoder('utf-8', options);

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
    new TextDecoder('utf-8', options).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
