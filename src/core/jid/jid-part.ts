import { quote } from '../quote.ts';
import { prepareIdentifier, StringprepError } from './stringprep.ts';

/** RFC 7622 §3.1: most bytes of one part of an address, in UTF-8. */
export const maxPartBytes = 1023;

/** A text is not the address, or part of one, that it should be; the message is for the caller. */
export class JidError extends Error {
  override readonly name = 'JidError';
}

/** The refusal of one part; `expected` goes on after the name of the part. */
export function createPartError(part: string, expected: string, got: string): JidError {
  return new JidError(`Expected a ${part} ${expected}, got ${quote(got)}.`);
}

/** Prepares a localpart or domainpart as servers do; throws JidError. */
export function preparePart(part: string, text: string): string {
  checkLength(part, text);
  try {
    const prepared = prepareIdentifier(text);
    checkLength(part, prepared);
    return prepared;
  } catch (error) {
    if (error instanceof StringprepError) throw createPartError(part, error.message, text);
    throw error;
  }
}

/** Throws JidError for a part that is empty or too long (RFC 7622 §3.1). */
export function checkLength(part: string, text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes < 1 || bytes > maxPartBytes) {
    throw new JidError(`Expected a ${part} of 1 to ${maxPartBytes} bytes, got ${bytes}.`);
  }
}
