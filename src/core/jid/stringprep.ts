import { nameCharacter } from '../text.ts';
import { leftToRight, rightToLeft, unassigned } from './unicode-3-2.ts';

/** XMPP servers would refuse or silently change the text; the message continues "the text". */
export class StringprepError extends Error {
  override readonly name = 'StringprepError';
}

/** RFC 3454 B.1: servers drop these, so texts that differ only in them denote the same address. */
const dropped = /[\u034f\u180b-\u180d\ufe00-\ufe0f\xad\u1806\u200b-\u200d\u2060\ufeff]/u;
const everyDropped = new RegExp(dropped, 'gu');

/** ICU and older tables normalise these differently: U+33C6 and those of Unicode's Corrigendum #4. */
const disputed = /[\u33c6\u{2f868}\u{2f874}\u{2f91f}\u{2f95f}\u{2f9bf}]/u;

/** RFC 3454 C.1–C.9 and RFC 6122 A.5. The categories C and Z of today's Unicode cover C.1–C.5 and C.9. */
const prohibited = /[\p{C}\p{Z}\u0340\u0341\u2ff0-\u2ffb\ufffc\ufffd"&'/:<>@]/u;

/** Neutral in Unicode 3.2, but left-to-right in the later tables that ICU uses. */
const laterLeftToRight = /[\u0cbf\u0cc6\u1734\u302e\u302f\u2132\u2800-\u28ff]/u;
const startsRightToLeft = new RegExp(`^${rightToLeft.source}`, 'u');
const endsRightToLeft = new RegExp(`${rightToLeft.source}$`, 'u');

/**
 * Prepares a text with nodeprep (RFC 6122 A), as servers do. Throws StringprepError where they would
 * refuse the text, drop parts of it, or might differ. It serves for domains too: nameprep (RFC 3491)
 * differs only in ASCII characters that no domain name may contain.
 */
export function prepareIdentifier(text: string): string {
  refuse(text, dropped, ', which servers drop');
  refuse(text, unassigned, ', which is too new for XMPP addresses');
  refuse(text, prohibited);
  refuse(text, disputed, ', which servers read differently');
  const prepared = foldCase(text).normalize('NFKC');
  if (prohibited.test(prepared)) refuseAsTyped(text, prepared);
  refuseMixedDirections(prepared);
  return prepared;
}

/** Returns the form in which resources are compared (RFC 6122 B: B.1 dropped, NFKC, case kept). */
export function normalizeResource(text: string): string {
  return text.replace(everyDropped, '').normalize('NFKC');
}

/** `reason` is a relative clause. */
function refuse(text: string, characters: RegExp, reason = ''): void {
  const found = characters.exec(text)?.[0];
  if (found !== undefined) {
    throw new StringprepError(`must not contain ${nameCharacter(found)}${reason}`);
  }
}

/** Names the character that was typed, such as a full-width at-sign, not the one that it stands for. */
function refuseAsTyped(text: string, prepared: string): void {
  for (const character of text) {
    if (prohibited.test(character.normalize('NFKC'))) {
      throw new StringprepError(`must not contain ${nameCharacter(character)}`);
    }
  }
  refuse(prepared, prohibited);
}

/** RFC 3454 §6. */
function refuseMixedDirections(text: string): void {
  if (!rightToLeft.test(text)) {
    return;
  }
  for (const characters of [leftToRight, laterLeftToRight]) {
    refuse(text, characters, ', which runs left to right, beside letters that run right to left');
  }
  if (!startsRightToLeft.test(text) || !endsRightToLeft.test(text)) {
    throw new StringprepError(
      'must begin and end with letters that run right to left if it has any',
    );
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
 * RFC 3454 B.2 is the closure of case folding under NFKC: fold, normalise, fold again. Case pairs
 * added after Unicode 3.2 do not count.
 */
function foldCharacter(text: string): string {
  if (text === '\u0131') {
    return text; // Dotless i: its upper case is I, but it folds to itself.
  }
  const folded = text.toUpperCase().toLowerCase();
  return unassigned.test(folded) ? text : folded;
}
