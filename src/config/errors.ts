import { quote } from '../core/text.ts';

/** One fault of a configuration file. */
export interface ConfigFault {
  /** The key, such as `http.port` or `domains[0]`; empty for the file as a whole. */
  readonly path: string;
  /** Line in the file, from 1, where known. */
  readonly line: number | undefined;
  readonly expected: string;
  /** The value that was found, abbreviated; `<secret>` for secrets. */
  readonly got: string;
}

/** A configuration that cannot be used. The message has one line for each fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly file: string;
  readonly faults: readonly ConfigFault[];

  constructor(file: string, faults: readonly ConfigFault[]) {
    super(faults.map((fault) => describeFault(file, fault)).join('\n'));
    this.file = file;
    this.faults = faults;
  }
}

/** Where a value is: keys of mappings and indices of lists, from the top of the file. */
export type ConfigPath = readonly PropertyKey[];

/** A fault before its line and its value have been looked up in the file. */
export interface FoundFault {
  readonly path: ConfigPath;
  readonly expected: string;
  /** Describes what was found; by default that is `describeValue`. */
  readonly got?: (value: unknown) => string;
}

const secretKeys: readonly PropertyKey[] = ['secret', 'password_hash', 'passwords', 'store'];

function describeFault(file: string, { path, line, expected, got }: ConfigFault): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return `${place}: ${path === '' ? '' : `${path}: `}expected ${expected}, got ${got}`;
}

/** Why a file cannot be used. Node's message names the file again, so that part is removed. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/, \w+( '.*')?$/s, '') : String(error);
}

/** Writes a path the way operators read it: `api_accounts[0].username`. */
export function formatPath(path: ConfigPath): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${readable(String(step))}`))
    .join('')
    .replace(/^\./, '');
}

/** Describes the value at a path: text in quotes, mappings and lists by their kind, secrets hidden. */
export function describeValue(path: ConfigPath, value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (path.some((step) => secretKeys.includes(step))) return '<secret>';
  if (typeof value === 'string') {
    // A Sentinel takes no password, but somebody may have written one, as in `store`.
    return path[0] === 'store_sentinels' && value.includes('@') ? '<secret>' : quote(value);
  }
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : describeKind(value);
}

/** Describes only the kind of a value: safe even if the value may hold a secret. */
export function describeKind(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value !== 'string') return `a ${typeof value}`;
  // YAML reads `port:8080` as one text.
  return /^\w+:\S/.test(value) ? 'text: a space is missing after its colon' : 'text';
}

function readable(key: string): string {
  const name = lacksSpace(key) ? key.replace(/:.*/s, '') : key;
  return /^\w+$/.test(name) ? name : quote(name);
}

/** Whether YAML has read `secret:s3cret` as one key. What follows the colon may be a secret. */
export function lacksSpace(key: string): boolean {
  return /^[^\s:]+:/.test(key);
}

const longestWord = 64;

/** The candidate that is most similar to the word, if it is similar enough to be a misspelling. */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > longestWord) return undefined;
  const most = Math.max(2, Math.floor(word.length / 3));
  const [nearest] = candidates
    .map((candidate) => ({ candidate, distance: distance(word.toLowerCase(), candidate) }))
    .filter(({ candidate, distance: edits }) => edits <= most && edits < candidate.length)
    .toSorted((a, b) => a.distance - b.distance);
  return nearest?.candidate;
}

/** The Levenshtein distance: insertions, deletions and replacements. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let index = 0; index < a.length; index += 1) {
    const next = [index + 1];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (row[column - 1] ?? 0) + (a[index] === b[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
