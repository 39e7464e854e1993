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
  const unquoted = findUnquoted(document).map(([offset, mark, got]) =>
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
    const key = /^[\w-]+/.exec(text.slice(offset, offset + 64))?.[0] ?? '';
    return { path: formatPath([key]), line, expected: 'each key only once', got: 'it twice' };
  }
  if (needsQuotes.has(error.code)) return missingQuotes(line, text.charAt(offset));
  // What is missing may also be a quotation mark.
  const isOther = error.code === 'MISSING_CHAR' && !error.message.startsWith('Implicit map keys');
  const expected = isOther ? undefined : expectedBy.get(error.code);
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

const aKey = 'a key, a colon, a space and a value, such as "port: 8080"';

/** What the usual mistakes lack, by the parser's code, for people who do not know the grammar. */
const expectedBy: ReadonlyMap<string, string> = new Map([
  ['TAB_AS_INDENT', 'spaces at the start of the line, not a tab'],
  [
    'BLOCK_AS_IMPLICIT_KEY',
    'quotes around a text with a colon and a space in it, and keys of one level indented alike',
  ],
  ['MULTILINE_IMPLICIT_KEY', aKey],
  ['MISSING_CHAR', aKey],
]);

/** Texts that were read as aliases or anchors, with their offset, first character and what it became. */
function findUnquoted(document: Document): (readonly [number, string, string])[] {
  const found: (readonly [number, string, string])[] = [];
  visit(document, {
    Alias: (_, node) => {
      if (node.resolve(document) !== undefined) return;
      found.push([node.range?.[0] ?? 0, '*', 'an alias without its anchor']);
    },
    Scalar: (_, { anchor, source, value, range }) => {
      if (anchor === undefined || value !== null || source !== '') return;
      found.push([range?.[0] ?? 0, '&', 'an anchor without a value']);
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
