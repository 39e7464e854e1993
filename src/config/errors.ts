import { quote } from '../core/text.ts';

/** One fault of a configuration file. */
export interface ConfigFault {
  /** The key, such as `http.port` or `domains[0]`; empty for the file as a whole. */
  readonly path: string;
  /** Line in the file, from 1, where known. */
  readonly line: number | undefined;
  readonly expected: string;
  /** What stands there instead, abbreviated; `<secret>` for secrets. */
  readonly got: string;
}

/** A configuration that cannot be used, with all its faults; the message has a line for each. */
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

/** The way to a value: keys of mappings and indices of lists. */
export type ConfigPath = readonly PropertyKey[];

/** A fault that is known by the way to its value. */
export interface FoundFault {
  readonly path: ConfigPath;
  readonly expected: string;
  /** Says what stands there, where the value itself does not say it best. */
  readonly got?: (value: unknown) => string;
}

const secretKeys: readonly PropertyKey[] = ['secret', 'password_hash', 'passwords', 'store'];

function describeFault(file: string, { path, line, expected, got }: ConfigFault): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return `${place}: ${path === '' ? '' : `${path}: `}expected ${expected}, got ${got}`;
}

/** Writes a path as an operator reads it: `api_accounts[0].username`. */
export function formatPath(path: ConfigPath): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${readable(String(step))}`))
    .join('')
    .replace(/^\./, '');
}

/** Says what stands at the path: a text quoted, a secret never, of mappings and lists only the kind. */
export function describeValue(path: ConfigPath, value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (path.some((step) => secretKeys.includes(step))) return '<secret>';
  if (typeof value === 'string') return quote(value);
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : describeKind(value);
}

/** Says what kind of value it is, for where any value may hold a secret. */
export function describeKind(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? 'text' : `a ${typeof value}`;
}

function readable(key: string): string {
  return /^\w+$/.test(key) ? key : quote(key);
}

const longestWord = 64;

/** The candidate that is most like the word, when it is like enough to be what was meant. */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > longestWord) return undefined;
  const most = Math.max(2, Math.floor(word.length / 3));
  const [nearest] = candidates
    .map((candidate) => ({ candidate, distance: distance(word.toLowerCase(), candidate) }))
    .filter(({ candidate, distance: edits }) => edits <= most && edits < candidate.length)
    .toSorted((a, b) => a.distance - b.distance);
  return nearest?.candidate;
}

/** Levenshtein's: insertions, deletions and replacements from a to b. */
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
