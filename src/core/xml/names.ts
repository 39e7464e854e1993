import { COMBINING_CHAR, DIGIT, EXTENDER, LETTER } from 'xmlchars/xml/1.0/ed4.js';
import { NC_NAME_RE } from 'xmlchars/xmlns/1.0/ed3.js';
import { nameCharacter } from '../text.ts';

const asciiNcName = /^[A-Za-z_][-.0-9A-Z_a-z]*$/;
const ncName = new RegExp(`^[${LETTER}_][-${LETTER}${DIGIT}._${COMBINING_CHAR}${EXTENDER}]*$`, 'u');
// With the u flag, this also matches lone surrogates.
const illegalCharacter = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/**
 * Whether this is a name without colon by XML 1.0 4th edition. Servers parse with expat, which does not
 * know the 5th edition and would close the stream.
 */
export function isNcName(name: string): boolean {
  return asciiNcName.test(name) || ncName.test(name);
}

/** Whether this is a name without colon by XML 1.0 5th edition, which allows every name of the 4th. */
export function isFifthEditionNcName(name: string): boolean {
  return NC_NAME_RE.test(name);
}

/**
 * Finds the first character that XML 1.0 cannot carry (XML §2.2), such as a lone surrogate; its name
 * continues a sentence after "the character".
 */
export function findIllegalCharacter(
  text: string,
): { readonly index: number; readonly name: string } | undefined {
  if (!illegalCharacter.test(text)) return undefined;
  const index = text.search(illegalCharacter);
  return { index, name: nameIllegal(text.charAt(index)) };
}

function nameIllegal(character: string): string {
  if (character < ' ') return nameCharacter(character);
  return character < '\ue000' ? 'cut in half (half of an emoji, say)' : 'that is a noncharacter';
}

/** The namespace bindings at one place of a document; the prefix '' is the default namespace. */
export interface NamespaceScope {
  resolve(prefix: string): string | undefined;
  /** Starts an element: declarations made from here on hold until the matching `leave`. */
  enter(): void;
  declare(prefix: string, namespace: string): void;
  leave(): void;
}

/** Creates a scope with initial bindings; every operation takes constant time at any depth. */
export function createNamespaceScope(initial: ReadonlyMap<string, string>): NamespaceScope {
  return new Scope(initial);
}

class Scope implements NamespaceScope {
  readonly #initial: ReadonlyMap<string, string>;
  /** Most documents declare nothing, so the initial bindings are copied only on the first declaration. */
  #bindings: Map<string, string | undefined> | undefined;
  readonly #shadowed: { readonly prefix: string; readonly namespace: string | undefined }[] = [];
  readonly #marks: number[] = [];

  constructor(initial: ReadonlyMap<string, string>) {
    this.#initial = initial;
  }

  resolve(prefix: string): string | undefined {
    return (this.#bindings ?? this.#initial).get(prefix);
  }

  enter(): void {
    this.#marks.push(this.#shadowed.length);
  }

  declare(prefix: string, namespace: string): void {
    this.#bindings ??= new Map(this.#initial);
    this.#shadowed.push({ prefix, namespace: this.#bindings.get(prefix) });
    this.#bindings.set(prefix, namespace);
  }

  leave(): void {
    const mark = this.#marks.pop() ?? 0;
    while (this.#shadowed.length > mark) {
      const binding = this.#shadowed.pop();
      if (binding !== undefined) this.#bindings?.set(binding.prefix, binding.namespace);
    }
  }
}
