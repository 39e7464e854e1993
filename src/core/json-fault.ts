import { describePlace, guessNotation, nameCharacter } from './text.ts';

/** An object or array that has not ended yet. */
interface Open {
  readonly bracket: '{' | '[';
  readonly index: number;
}

/** What the grammar (RFC 8259 §2) expects next. */
type Expected = 'value' | 'first-value' | 'name' | 'first-name' | 'colon' | 'comma' | 'end';

/** Written differently in JavaScript or Python. */
const otherLiterals: ReadonlyMap<string, string> = new Map([
  ['True', 'write true'],
  ['TRUE', 'write true'],
  ['False', 'write false'],
  ['FALSE', 'write false'],
  ['None', 'write null, or leave the field out'],
  ['none', 'write null, or leave the field out'],
  ['Null', 'write null, or leave the field out'],
  ['NULL', 'write null, or leave the field out'],
  ['nil', 'write null, or leave the field out'],
  ['undefined', 'JSON has no undefined: leave the field out'],
  ['NaN', 'JSON has no NaN: leave the field out'],
  ['Infinity', 'JSON has no Infinity: leave the field out'],
]);

/**
 * Says why a text is not JSON, with the place and the way out, and without repeating the text; undefined
 * if it is JSON. Takes linear time. The engine's own messages differ from version to version.
 */
export function describeJsonFault(text: string): string | undefined {
  return describeOtherNotation(text) ?? new FaultFinder(text).find();
}

/** The caller has sent something else altogether. */
function describeOtherNotation(text: string): string | undefined {
  if (/^\s*$/.test(text)) return 'it is empty: send a JSON object';
  if (/^\s*'\s*[[{]/.test(text)) {
    return `it begins with ': leave the quotes around the JSON out (in cmd.exe, write " around it and \\" inside)`;
  }
  if (/^--\S/.test(text)) return 'it looks like multipart/form-data, which is not supported';
  const other = guessNotation(text);
  return other === undefined || other.name === 'JSON'
    ? undefined
    : `it looks like ${other.name}: send it as Content-Type: ${other.mediaType}`;
}

class FaultFinder {
  readonly #text: string;
  readonly #open: Open[] = [];
  #expected: Expected = 'value';
  #index = 0;

  constructor(text: string) {
    this.#text = text;
  }

  find(): string | undefined {
    for (;;) {
      this.#take(/[ \t\n\r]*/y);
      const character = this.#take(/[^]/uy);
      if (character === undefined)
        return this.#expected === 'end' ? undefined : this.#endTooEarly();
      const start = this.#index - character.length;
      const fault = this.#read(character, start);
      if (fault !== undefined) return fault;
    }
  }

  #read(character: string, start: number): string | undefined {
    const general = this.#describeAnywhere(character, start);
    if (general !== undefined) return this.#at(start, general);
    switch (this.#expected) {
      case 'value':
      case 'first-value':
        return this.#readValue(character, start);
      case 'name':
      case 'first-name':
        return this.#readName(character, start);
      case 'comma':
        return this.#readNext(character, start);
      case 'end':
        return this.#at(start, 'the JSON has ended before this: one JSON text in a body');
      case 'colon':
    }
    if (character !== ':') return this.#at(start, 'expected a colon between name and value');
    this.#expected = 'value';
    return undefined;
  }

  /** A fault that can occur anywhere outside strings. */
  #describeAnywhere(character: string, start: number): string | undefined {
    if (/^(?:\/[/*]|#)/.test(this.#text.slice(start, start + 2)) && !this.#isHashText(start)) {
      return 'JSON has no comments: leave this out';
    }
    if (/[“”„‟«»＂‘’‚‛'`´]/u.test(character)) {
      return `a string needs straight double quotes: write " for ${character}`;
    }
    if (/[\p{C}\p{Z}]/u.test(character)) return `${nameCharacter(character)}: leave it out`;
    return undefined;
  }

  /** Whether this is a value such as #FF0000 or #ops, and no comment. */
  #isHashText(start: number): boolean {
    const pattern = /#[\w-]+\s*[,}\]]/y;
    pattern.lastIndex = start;
    return this.#expected.endsWith('value') && pattern.test(this.#text);
  }

  #readValue(character: string, start: number): string | undefined {
    switch (character) {
      case '"':
        return this.#readString(start);
      case '{':
      case '[':
        this.#open.push({ bracket: character, index: start });
        this.#expected = character === '{' ? 'first-name' : 'first-value';
        return undefined;
      case ']':
        if (this.#expected === 'first-value') return this.#close();
        if (this.#open.at(-1)?.bracket === '[') return this.#at(start, trailingComma);
    }
    if (character === '#') return this.#at(start, bareString);
    return /[\p{L}\w.+-]/u.test(character)
      ? this.#readWord(start)
      : this.#at(start, `expected a value, got ${nameCharacter(character)}`);
  }

  #readName(character: string, start: number): string | undefined {
    if (character === '"') {
      const fault = this.#readString(start);
      this.#expected = 'colon';
      return fault;
    }
    if (character === '}') {
      return this.#expected === 'first-name' ? this.#close() : this.#at(start, trailingComma);
    }
    if (/^\d,\d/.test(this.#text.slice(start - 2, start + 1))) {
      return this.#at(start, 'a number has a decimal point, not a comma: write 1.5 for 1,5');
    }
    return this.#at(
      start,
      /[\p{L}_$\d]/u.test(character)
        ? 'a name needs double quotes: write "name":'
        : `expected a name in double quotes, got ${nameCharacter(character)}`,
    );
  }

  /** After a value. */
  #readNext(character: string, start: number): string | undefined {
    const open = this.#open.at(-1);
    if (open === undefined) throw new Error('a comma outside objects and arrays');
    const closing = open.bracket === '{' ? '}' : ']';
    if (character === closing) return this.#close();
    if (character === ',') {
      this.#expected = open.bracket === '{' ? 'name' : 'value';
      return undefined;
    }
    if (/[}\]]/.test(character)) {
      const place = describePlace(this.#text, open.index);
      return this.#at(start, `expected ${closing}, which closes the ${open.bracket} at ${place}`);
    }
    // Two strings in a row: a comma was forgotten, or the first has an unescaped mark in it.
    const wasString = this.#text.charAt(start - 1) === '"';
    return this.#at(
      start,
      wasString
        ? 'expected a comma, or the " before this is part of the string: write \\" there'
        : `expected a comma or ${closing}, got ${nameCharacter(character)}`,
    );
  }

  #close(): undefined {
    this.#open.pop();
    this.#endValue();
  }

  #endValue(): undefined {
    this.#expected = this.#open.length === 0 ? 'end' : 'comma';
  }

  /** Reads a number, a literal, or a word that was meant as one of these or as a string. */
  #readWord(start: number): string | undefined {
    this.#index = start;
    const word = this.#take(/[\p{L}\w.+-]+/uy) ?? '';
    if (/^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(word)) {
      this.#endValue();
      return undefined;
    }
    const other = otherLiterals.get(word.replace(/^[+-]/, ''));
    if (other !== undefined) return this.#at(start, other);
    if (this.#open.length === 0) {
      return this.#at(
        start,
        'expected {, which begins a JSON object; text as it is goes as Content-Type: text/plain',
      );
    }
    return this.#at(
      start,
      /^[+-]?\.?\d/.test(word)
        ? 'not a number as JSON writes it: 1, -0.5 or 2e3, or a string in double quotes'
        : bareString,
    );
  }

  #readString(start: number): string | undefined {
    for (;;) {
      this.#take(/[^"\\\u0000-\u001f]*/y);
      const { length } = this.#text;
      const index = this.#index;
      if (index === length) return this.#at(start, 'the " that ends this string is missing');
      const character = this.#text.charAt(index);
      this.#index += 1;
      if (character === '"') {
        this.#endValue();
        return undefined;
      }
      if (character !== '\\') return this.#at(index, describeControl(character));
      if (this.#take(/["\\/bfnrt]|u[0-9a-fA-F]{4}/y) === undefined) {
        return this.#at(index, describeEscape(this.#take(/[^]/uy) ?? ''));
      }
    }
  }

  #endTooEarly(): string {
    const open = this.#open.at(-1);
    const missing =
      open === undefined
        ? 'expected a value'
        : `the ${open.bracket} at ${describePlace(this.#text, open.index)} is not closed: ${
            open.bracket === '{' ? 'a }' : 'a ]'
          } is missing`;
    return `it ends too early: ${missing}`;
  }

  #at(index: number, what: string): string {
    return `${describePlace(this.#text, index)}: ${what}`;
  }

  /** Takes what the sticky pattern matches at the current place. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#index;
    const taken = pattern.exec(this.#text)?.[0];
    this.#index += taken?.length ?? 0;
    return taken;
  }
}

const bareString = 'a string needs double quotes: write "text"';

const trailingComma = 'there is a comma after the last member: remove it';

function describeControl(character: string): string {
  if (/[\r\n]/.test(character)) {
    return 'a line break in a string: write \\n, or the " before it is missing';
  }
  return character === '\t'
    ? 'a tab in a string: write \\t'
    : `${nameCharacter(character)} in a string: leave it out`;
}

/** `character` follows a backslash. */
function describeEscape(character: string): string {
  if (character === "'") return "\\' in a string: write ' without the backslash";
  if (character === 'u') return '\\u in a string, without four hexadecimal digits after it';
  return /[\r\n]/.test(character)
    ? 'a backslash before a line break: write \\n in place of both'
    : `a backslash before ${character === '' ? 'the end' : nameCharacter(character)}: write \\\\ for a backslash`;
}
