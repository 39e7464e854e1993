import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
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
  try {
    return { value: document.toJS({ maxAliasCount: 100 }), faults, lineOf };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const got = 'an alias without its anchor, or too many aliases';
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
  // The parser quotes the file after the colon, and that may be a secret.
  return notYaml(line, error.message.replace(/(?<=\S): .*/s, ''));
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
