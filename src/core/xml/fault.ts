import { abbreviate, describePlace, guessNotation, nameCharacter } from '../text.ts';
import { findIllegalCharacter, isFifthEditionNcName } from './names.ts';

/** Where a text stops being well-formed, and what to do about it. */
export interface XmlFault {
  /** Index of the character at fault; the parser may notice it much later. */
  readonly index: number;
  /** Part of a sentence, after the place. */
  readonly detail: string;
}

interface OpenTag {
  readonly name: string;
  readonly index: number;
}

/** HTML elements without content, which HTML does not close. */
const voidElements = new Set(['br', 'hr', 'img', 'input', 'link', 'meta', 'wbr']);

const entities = new Set(['amp', 'lt', 'gt', 'quot', 'apos']);

const forText = 'for a < in a text write &lt;';

/**
 * Explains why a text is not well-formed, by the first of the usual mistakes in it. It is asked only
 * after the parser has refused the text, and it may find nothing. Takes linear time.
 */
export function findXmlFault(text: string, fragment: boolean): XmlFault | undefined {
  return new FaultFinder(text, fragment).find();
}

class FaultFinder {
  readonly #text: string;
  readonly #fragment: boolean;
  readonly #open: OpenTag[] = [];
  #hasRoot = false;
  #index = 0;

  constructor(text: string, fragment: boolean) {
    this.#text = text;
    this.#fragment = fragment;
  }

  find(): XmlFault | undefined {
    const start = this.#checkStart();
    if (start !== undefined) return start;
    while (this.#index < this.#text.length) {
      const fault = this.#text.startsWith('<', this.#index) ? this.#readMarkup() : this.#readText();
      if (fault !== undefined) return fault;
    }
    const unclosed = this.#open.at(-1);
    return unclosed && describeUnclosed(unclosed);
  }

  #checkStart(): XmlFault | undefined {
    if (this.#fragment) return undefined;
    this.#take(/\ufeff?[ \t\r\n]*/y);
    const index = this.#index;
    if (index === this.#text.length) return { index: 0, detail: 'the text is empty' };
    const other = guessNotation(this.#text);
    if (other !== undefined && other.name !== 'XML') {
      const detail = `this looks like ${other.name}: send it as Content-Type: ${other.mediaType}`;
      return { index, detail };
    }
    this.#index = 0;
    return undefined;
  }

  /** Text up to the next tag, with its references. */
  #readText(): XmlFault | undefined {
    const start = this.#index;
    const text = this.#take(/[^<&]*/y) ?? '';
    if (!this.#fragment && this.#open.length === 0) {
      const offset = text.search(/[^\ufeff \t\r\n]/);
      if (offset !== -1 || this.#isAt('&')) {
        const index = offset === -1 ? this.#index : start + offset;
        const side = this.#hasRoot ? 'after the end of' : 'before';
        return { index, detail: `text ${side} the <message/>: leave it out` };
      }
    }
    const forbidden = this.#open.length === 0 ? -1 : text.indexOf(']]>');
    if (forbidden !== -1) return { index: start + forbidden, detail: 'a bare ]]>: write ]]&gt;' };
    return this.#isAt('&') ? this.#readReference() : undefined;
  }

  #readReference(): XmlFault | undefined {
    const index = this.#index;
    if (this.#isAt('&#')) {
      const number = this.#take(/&#(?:[0-9]{1,7}|x[0-9a-fA-F]{1,6});/y)?.slice(2, -1);
      if (number !== undefined && isCharacter(number)) return undefined;
      const detail =
        'this is not the number of a character, as &#65; and &#x41; are; for an & write &amp;';
      return { index, detail };
    }
    const entity = this.#take(/&[A-Za-z][A-Za-z0-9]*;/y);
    if (entity === undefined) return { index, detail: 'a bare &: write &amp;' };
    if (entities.has(entity.slice(1, -1))) return undefined;
    const detail = `XML does not know ${abbreviate(entity)}: write the character itself or its number, such as &#160;, and &amp; for an & in a text`;
    return { index, detail };
  }

  #readMarkup(): XmlFault | undefined {
    const index = this.#index;
    const rare = this.#findRareEnd();
    if (rare !== undefined) {
      const [opening, closing] = rare;
      const end = this.#text.indexOf(closing, index + opening.length);
      if (end === -1) return { index, detail: `${opening} without its ${closing}` };
      this.#index = end + closing.length;
      return undefined;
    }
    if (this.#isAt('</')) return this.#readClosingTag();
    if (this.#isAt('<>')) return { index, detail: `<> is a tag without a name; ${forText}` };
    if (this.#hasSpaceBeforeName()) {
      return { index, detail: `a space after the < of a tag: leave it out${this.#hint()}` };
    }
    const name = this.#take(/<[^\s<>/="'&]*/y)?.slice(1) ?? '';
    if (!isName(/^./u.exec(name)?.[0] ?? '')) return { index, detail: 'a bare <: write &lt;' };
    if (!isName(name)) {
      return { index, detail: `<${abbreviate(name)} does not begin a tag; ${forText}` };
    }
    if (this.#hasRoot && this.#open.length === 0 && !this.#fragment) {
      const detail = 'a second element: one <message/> in a body, and a request for each';
      return { index, detail };
    }
    this.#hasRoot = true;
    return this.#readAttributes({ name, index });
  }

  /** Where there may be text, it must look like a whole tag; elsewhere, a < can only begin one. */
  #hasSpaceBeforeName(): boolean {
    const mayBeText = this.#open.length > 0 || this.#fragment;
    const pattern = mayBeText
      ? /<[ \t\r\n]+\/?[A-Za-z][\w:-]{0,100}[ \t\r\n]*\/?>/y
      : /<[ \t\r\n]+[A-Za-z]/y;
    return this.#take(pattern) !== undefined;
  }

  /** The delimiters of a comment, CDATA section, processing instruction or document type. */
  #findRareEnd(): readonly [string, string] | undefined {
    const all = [
      ['<!--', '-->'],
      ['<![CDATA[', ']]>'],
      ['<?', '?>'],
      ['<!', '>'],
    ] as const;
    return all.find(([opening]) => this.#isAt(opening));
  }

  #readClosingTag(): XmlFault | undefined {
    const index = this.#index;
    const name = this.#take(/<\/[^\s<>/="'&]*/y)?.slice(2) ?? '';
    const spaces = this.#take(/[ \t\r\n]*/y);
    if (name === '' && spaces !== '') {
      return { index, detail: 'a space after the </ of a tag: leave it out' };
    }
    const shown = `</${abbreviate(name)}>`;
    if (!this.#isAt('>')) return { index, detail: `${shown.slice(0, -1)} without its >` };
    this.#index += 1;
    const open = this.#open.pop();
    if (open?.name === name) return undefined;
    if (open === undefined) return { index, detail: `${shown} closes nothing: leave it out` };
    if (this.#open.some((outer) => outer.name === name)) {
      const isTwice = this.#open.at(-1)?.name === open.name;
      return isTwice ? describeTwice(open) : describeUnclosed(open, shown);
    }
    const next = this.#take(/[ \t\r\n]*<\/[^\s<>/="'&]*/y)?.trimStart();
    if (next === `</${open.name}`) {
      const detail = `${shown} closes nothing: leave it out, or write <${abbreviate(name)}> where it begins`;
      return { index, detail };
    }
    const place = describePlace(this.#text, open.index);
    const expected = `</${abbreviate(open.name)}>`;
    return {
      index,
      detail: `${shown} does not match ${showTag(open)} at ${place}: write ${expected}`,
    };
  }

  #readAttributes(tag: OpenTag): XmlFault | undefined {
    for (;;) {
      const space = this.#take(/[ \t\r\n]*/y);
      const index = this.#index;
      if (this.#isAt('>') || this.#isAt('/>')) {
        if (this.#isAt('>')) this.#open.push(tag);
        this.#index += this.#isAt('>') ? 1 : 2;
        return undefined;
      }
      if (index === this.#text.length || this.#isAt('<')) {
        const detail = `<${abbreviate(tag.name)} without its >${this.#hint()}`;
        return { index: tag.index, detail };
      }
      const name = this.#take(/[^\s<>/="'&]+/uy);
      if (name === undefined) return this.#describeUnexpected(tag);
      if (space === '') return { index, detail: this.#describeMissingSpace(index) };
      const fault = this.#readValue(name, index);
      if (fault !== undefined) return fault;
    }
  }

  /** After the mark that ends a value, and before what could be a name. */
  #describeMissingSpace(index: number): string {
    if (this.#take(/[ \t\r\n]*=/y) !== undefined) {
      return 'a space is missing before this attribute';
    }
    return this.#text.charAt(index - 1) === "'"
      ? "the ' before this ends the value: write &apos; for it, or double quotes around the value"
      : 'the " before this ends the value: write &quot; for it';
  }

  #describeUnexpected(tag: OpenTag): XmlFault {
    const character = nameCharacter(this.#text.charAt(this.#index));
    const detail = `${character} does not belong in the tag ${showTag(tag)}${this.#hint()}`;
    return { index: this.#index, detail };
  }

  #readValue(name: string, start: number): XmlFault | undefined {
    const shown = abbreviate(name);
    if (this.#take(/[ \t\r\n]*=[ \t\r\n]*/y) === undefined) {
      const detail = `the attribute ${shown} has no value: write ${shown}="…"${this.#hint()}`;
      return { index: start, detail };
    }
    const index = this.#index;
    const mark = this.#take(/["']/y);
    if (mark === undefined) {
      const way = `write ${shown}="…", with straight quotes and no backslash`;
      return { index, detail: `the value of ${shown} is not in quotes: ${way}` };
    }
    for (;;) {
      this.#take(mark === '"' ? /[^"<&]*/y : /[^'<&]*/y);
      if (this.#isAt(mark)) break;
      if (!this.#isAt('&')) return this.#describeOpenValue(shown, mark, index);
      const fault = this.#readReference();
      if (fault !== undefined) return fault;
    }
    this.#index += 1;
    return undefined;
  }

  #describeOpenValue(name: string, mark: string, start: number): XmlFault {
    const missing = `the ${mark} that ends the value of ${name} is missing`;
    return this.#isAt('<')
      ? { index: this.#index, detail: `a < in the value of ${name}: write &lt;, or ${missing}` }
      : { index: start, detail: missing };
  }

  /** What looks like a tag may be text, except at the beginning of the body. */
  #hint(): string {
    return this.#open.length > 0 || this.#fragment ? `; ${forText}` : '';
  }

  #isAt(text: string): boolean {
    return this.#text.startsWith(text, this.#index);
  }

  /** Takes what the sticky pattern matches at the current place. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#index;
    const taken = pattern.exec(this.#text)?.[0];
    this.#index += taken?.length ?? 0;
    return taken;
  }
}

/** By the 5th edition, as for the parser; a prefix is not looked at. */
function isName(text: string): boolean {
  return isFifthEditionNcName(text.replaceAll(':', '_'));
}

function isCharacter(number: string): boolean {
  const code = Number(number.replace('x', '0x'));
  return code <= 0x10ffff && findIllegalCharacter(String.fromCodePoint(code)) === undefined;
}

function showTag({ name }: OpenTag): string {
  return `<${abbreviate(name)}>`;
}

/** The slash of a closing tag was forgotten. */
function describeTwice(tag: OpenTag): XmlFault {
  const name = abbreviate(tag.name);
  return { index: tag.index, detail: `<${name}> in <${name}>: to close that, write </${name}>` };
}

/** `before` is the closing tag that was met instead. */
function describeUnclosed(tag: OpenTag, before?: string): XmlFault {
  const name = abbreviate(tag.name);
  const place = before === undefined ? '' : ` before ${before}`;
  const isVoid = voidElements.has(tag.name.toLowerCase());
  const way = isVoid ? `write <${name}/>` : `write </${name}>${place}`;
  const hint = tag.name === 'message' || tag.name === 'body' ? '' : `; ${forText}`;
  return { index: tag.index, detail: `<${name}> is never closed: ${way}${hint}` };
}
