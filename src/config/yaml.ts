import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { type ConfigFault, type ConfigPath, formatPath } from './errors.ts';

/** The value of a YAML text, and the line of each part of it. */
export interface ConfigSource {
  /** `undefined` if the text cannot be read as YAML. */
  readonly value: unknown;
  readonly faults: readonly ConfigFault[];
  /** Line, from 1, of the key or list item at the path; if it does not exist, of its closest parent. */
  readonly lineOf: (path: ConfigPath) => number | undefined;
}

/** Parses YAML 1.2, core schema: no custom tags, merge keys or duplicate keys, and few aliases. */
export function parseConfigSource(text: string): ConfigSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: 'core',
    merge: false,
    prettyErrors: false,
    lineCounter: lines,
    logLevel: 'error',
  });
  const errors = [...document.errors, ...document.warnings];
  const faults = errors.map((error) => describeError(error, text, lines));
  const lineOf = (path: ConfigPath): number | undefined => {
    const offset = findOffset(document, path);
    return offset === undefined ? undefined : lines.linePos(offset).line;
  };
  if (errors.some(({ code }) => code !== 'DUPLICATE_KEY'))
    return { value: undefined, faults, lineOf };
  const unquoted = findUnquoted(document, text).map(([offset, mark, got]) =>
    missingQuotes(lines.linePos(offset).line, mark, got),
  );
  if (unquoted.length > 0) return { value: undefined, faults: [...faults, ...unquoted], lineOf };
  try {
    return { value: document.toJS({ maxAliasCount: 100 }), faults, lineOf };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const got = 'too many aliases, or aliases of themselves';
    return { value: undefined, faults: [...faults, notYaml(undefined, got)], lineOf };
  }
}

function describeError(error: YAMLError, text: string, lines: LineCounter): ConfigFault {
  const [offset] = error.pos;
  const { line } = lines.linePos(offset);
  if (error.code === 'DUPLICATE_KEY') {
    const [, key = ''] = /^["']?([\w-]+)/.exec(text.slice(offset, offset + 64)) ?? [];
    return { path: formatPath([key]), line, expected: 'each key only once', got: 'it twice' };
  }
  if (needsQuotes.has(error.code)) return missingQuotes(line, text.charAt(offset));
  const [, expected] = expectedBy.find(([pattern]) => pattern.test(error.message)) ?? [];
  if (expected !== undefined) return { path: '', line, expected, got: 'something else' };
  // The parser quotes the file after the colon, and that may be a secret.
  return notYaml(line, error.message.replace(/(?<=\S): .*/s, ''));
}

/** The errors of a text whose first character has a meaning in YAML. */
const needsQuotes: ReadonlySet<string> = new Set([
  'BAD_ALIAS',
  'BAD_DIRECTIVE',
  'BAD_SCALAR_START',
  'TAG_RESOLVE_FAILED',
]);

/** What the usual mistakes lack, by the parser's message, for people who do not know the grammar. */
const expectedBy: readonly (readonly [RegExp, string])[] = [
  [/^Tabs are not allowed/, 'spaces at the start of the line, not a tab'],
  [
    /^Nested mappings are not allowed|^A block sequence may not be used|^Block collections are not allowed/,
    'quotes around a text with a colon and a space in it, and keys of one level indented alike',
  ],
  [/^Implicit (?:map )?keys/, 'a key, a colon, a space and a value, such as "port: 8080"'],
  [/^All (?:mapping|sequence) items must start/, 'keys and list items of one level indented alike'],
  [/^Missing closing "/, 'a " at the end of a text that begins with "'],
  [/^Missing closing '/, "a ' at the end of a text that begins with '"],
  [/^Invalid escape/, '\\\\ for each \\ of a text in double quotes'],
  [/ at node end$/, 'nothing after a closing quotation mark or bracket'],
  [/end with a \]$/, 'a ] at the end of a list that begins with ['],
  [/end with a \}$/, 'a } at the end of a mapping that begins with {'],
  [/^Unexpected flow-/, 'no bracket or brace without its opening one, or quotes around the text'],
  [/^Unexpected , in /, 'a value before each comma'],
  [
    /^Comments must be separated/,
    'a space before a comment, or quotes around all of a text with #',
  ],
  [/^Block scalar header/, 'a line break after | or >, or quotes around the text'],
  [/multiple documents/, 'one document: no line with --- or ... between the keys'],
];

/**
 * Texts that were read as aliases, anchors or comments, with their offset, first character and what it
 * became.
 */
function findUnquoted(document: Document, text: string): (readonly [number, string, string])[] {
  const found: (readonly [number, string, string])[] = [];
  visit(document, {
    Alias: (_, node) => {
      if (node.resolve(document) !== undefined) return;
      found.push([node.range?.[0] ?? 0, '*', 'an alias without its anchor']);
    },
    Scalar: (_, { anchor, source, value, range }) => {
      if (value !== null || source !== '') return;
      const offset = range?.[0] ?? 0;
      if (anchor !== undefined) found.push([offset, '&', 'an anchor without a value']);
      // Most comments have a space after the mark.
      else if (/^#\S/.test(text.slice(offset, offset + 2))) found.push([offset, '#', 'nothing']);
    },
  });
  return found;
}

function missingQuotes(line: number, mark: string, got = 'none'): ConfigFault {
  const expected = `quotes around a text that begins with ${mark}, such as "${mark}example"`;
  return { path: '', line, expected, got };
}

function notYaml(line: number | undefined, got: string): ConfigFault {
  return { path: '', line, expected: 'YAML', got };
}

function findOffset(document: Document, path: ConfigPath): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    let place: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      place = pair?.key;
      node = pair?.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      place = node;
    } else {
      return offset;
    }
    offset = (isNode(place) ? place.range?.[0] : undefined) ?? offset;
  }
  return offset;
}
