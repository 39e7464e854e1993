import { parseLocalpart } from '../core/jid/jid.ts';

/**
 * Parses a pattern of senders: `*` matches any characters, and the rest is prepared like a localpart
 * (RFC 7622 §3.3). Returns the normalised pattern; throws JidError.
 */
export function parseSenderPattern(text: string): string {
  return text
    .split('*')
    .map((literal, _, { length }) => (literal === '' && length > 1 ? '' : parseLocalpart(literal)))
    .join('*');
}

/** Creates a test for whether any of the patterns matches a normalised localpart. */
export function createSenderTest(patterns: readonly string[]): (localpart: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const wildcards = patterns
    .filter((pattern) => pattern.includes('*'))
    .map((pattern) => createWildcardTest(pattern.split('*')));
  return (localpart) => exact.has(localpart) || wildcards.some((matches) => matches(localpart));
}

/** Searches each literal between the wildcards once, from where the one before it ended. */
function createWildcardTest(literals: readonly string[]): (localpart: string) => boolean {
  const first = literals[0] ?? '';
  const last = literals.at(-1) ?? '';
  const middle = literals.slice(1, -1).filter((literal) => literal !== '');
  return (localpart) => {
    const end = localpart.length - last.length;
    if (end < first.length || !localpart.startsWith(first) || !localpart.endsWith(last))
      return false;
    let from = first.length;
    for (const literal of middle) {
      const found = localpart.indexOf(literal, from);
      if (found === -1) return false;
      from = found + literal.length;
    }
    return from <= end;
  };
}
