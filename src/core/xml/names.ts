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

/** Which prefix means which namespace at one place of a document; '' is the default namespace. */
export interface NamespaceScope {
  resolve(prefix: string): string | undefined;
  /** An element begins: what is declared from here on holds until the matching `leave`. */
  enter(): void;
  declare(prefix: string, namespace: string): void;
  leave(): void;
}

/** A scope that begins with the given bindings; each step takes constant time at any depth. */
export function createNamespaceScope(initial: ReadonlyMap<string, string>): NamespaceScope {
  // Most documents declare nothing: they share what they begin with.
  let bindings: Map<string, string | undefined> | undefined;
  const shadowed: { readonly prefix: string; readonly namespace: string | undefined }[] = [];
  const marks: number[] = [];
  return {
    resolve: (prefix) => (bindings ?? initial).get(prefix),
    enter: () => {
      marks.push(shadowed.length);
    },
    declare: (prefix, namespace) => {
      bindings ??= new Map(initial);
      shadowed.push({ prefix, namespace: bindings.get(prefix) });
      bindings.set(prefix, namespace);
    },
    leave: () => {
      const mark = marks.pop() ?? 0;
      while (shadowed.length > mark) {
        const binding = shadowed.pop();
        if (binding !== undefined) bindings?.set(binding.prefix, binding.namespace);
      }
    },
  };
}
