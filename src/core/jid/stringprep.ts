import { leftToRight, rightToLeft, unassigned } from './unicode-3-2.ts';

/** A text that XMPP servers would refuse or change on the quiet; the message says what was expected. */
export class StringprepError extends Error {
  override readonly name = 'StringprepError';
}

/** RFC 3454 B.1: servers drop these, so that two texts that differ in them are the same address. */
const dropped = /[\u034f\u180b-\u180d\ufe00-\ufe0f\xad\u1806\u200b-\u200d\u2060\ufeff]/u;
const everyDropped = new RegExp(dropped, 'gu');

/** Normalised differently by ICU and older tables: U+33C6 and Unicode's Corrigendum #4. */
const disputed = /[\u33c6\u{2f868}\u{2f874}\u{2f91f}\u{2f95f}\u{2f9bf}]/u;

/** RFC 3454 C.1–C.9 and RFC 6122 A.5. What modern Unicode calls `C` or `Z` covers C.1–C.5 and C.9. */
const prohibited = /[\p{C}\p{Z}\u0340\u0341\u2ff0-\u2ffb\ufffc\ufffd"&'/:<>@]/u;

/** Neutral in Unicode 3.2, left-to-right in the later tables that ICU takes its directions from. */
const laterLeftToRight = /[\u0cbf\u0cc6\u1734\u302e\u302f\u2132\u2800-\u28ff]/u;
const startsRightToLeft = new RegExp(`^${rightToLeft.source}`, 'u');
const endsRightToLeft = new RegExp(`${rightToLeft.source}$`, 'u');

/**
 * Prepares a text as servers do by nodeprep (RFC 6122 A). It throws StringprepError where they
 * refuse the text, drop parts of it, or may differ. Nameprep (RFC 3491) differs from nodeprep only
 * in ASCII characters that are legal in no domain name, so that it serves for domains too.
 */
export function prepareIdentifier(text: string): string {
  refuse(text, dropped, 'which servers drop');
  refuse(text, unassigned, 'which is not a character of Unicode 3.2');
  refuse(text, prohibited, 'which is prohibited');
  refuse(text, disputed, 'which servers normalise differently');
  const prepared = foldCase(text).normalize('NFKC');
  refuse(prepared, prohibited, 'which is prohibited');
  refuseMixedDirections(prepared);
  return prepared;
}

/** The form under which two resources are one (RFC 6122 B: nothing for B.1, NFKC, case kept). */
export function normalizeResource(text: string): string {
  return text.replace(everyDropped, '').normalize('NFKC');
}

function refuse(text: string, characters: RegExp, reason: string): void {
  const found = characters.exec(text)?.[0].codePointAt(0);
  if (found !== undefined) {
    const hex = found.toString(16).toUpperCase().padStart(4, '0');
    throw new StringprepError(`without U+${hex}, ${reason}`);
  }
}

/** RFC 3454 §6. */
function refuseMixedDirections(text: string): void {
  if (!rightToLeft.test(text)) {
    return;
  }
  for (const characters of [leftToRight, laterLeftToRight]) {
    refuse(text, characters, 'which runs left to right beside right-to-left letters');
  }
  if (!startsRightToLeft.test(text) || !endsRightToLeft.test(text)) {
    throw new StringprepError('that begins and ends with right-to-left letters, when it has any');
  }
}

function foldCase(text: string): string {
  let folded = '';
  for (const character of text) {
    folded += foldCharacter(foldCharacter(character).normalize('NFKC'));
  }
  return folded;
}

/**
 * RFC 3454 B.2 is the closure of case folding under NFKC: fold, normalise, fold again. Pairs of
 * cases that came after Unicode 3.2 do not count.
 */
function foldCharacter(text: string): string {
  if (text === '\u0131') {
    return text; // the dotless i: its upper case is I, but it folds to itself
  }
  const folded = text.toUpperCase().toLowerCase();
  return unassigned.test(folded) ? text : folded;
}
