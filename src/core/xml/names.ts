import { COMBINING_CHAR, DIGIT, EXTENDER, LETTER } from 'xmlchars/xml/1.0/ed4.js';
import { NC_NAME_RE } from 'xmlchars/xmlns/1.0/ed3.js';

const asciiNcName = /^[A-Za-z_][-.0-9A-Z_a-z]*$/;
const ncName = new RegExp(`^[${LETTER}_][-${LETTER}${DIGIT}._${COMBINING_CHAR}${EXTENDER}]*$`, 'u');
// With the u flag this also finds surrogates that are not paired.
const illegalCharacter = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/**
 * Is this a name without colon in XML 1.0 4th edition? Servers parse with expat, which knows no
 * later one and closes the stream.
 */
export function isNcName(name: string): boolean {
  return asciiNcName.test(name) || ncName.test(name);
}

/** Is this a name without colon in XML 1.0 5th edition, which knows all names of the 4th? */
export function isFifthEditionNcName(name: string): boolean {
  return NC_NAME_RE.test(name);
}

/** The first character that XML 1.0 cannot carry (XML §2.2), a lone surrogate included. */
export function findIllegalCharacter(
  text: string,
): { readonly index: number; readonly name: string } | undefined {
  if (!illegalCharacter.test(text)) return undefined;
  const index = text.search(illegalCharacter);
  const code = text.charCodeAt(index).toString(16).toUpperCase().padStart(4, '0');
  return { index, name: `U+${code}` };
}
