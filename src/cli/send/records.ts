import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { isRecord } from '../../core/json.ts';
import { quote } from '../../core/text.ts';
import { UsageError } from '../command.ts';
import {
  type BulkInput,
  BulkInputError,
  type CsvRow,
  endLine,
  readChunks,
  splitLines,
  splitRows,
} from './input.ts';

/** One message of a file. */
export interface BulkRecord {
  /** The line of the file where it begins, from 1. */
  readonly line: number;
  /** As it is in the file, with its line end. */
  readonly source: Buffer;
  /** The line for the gateway, with its key and line end; or why it cannot be one. */
  readonly message: Buffer | BulkFault;
  /** How long the gateway may wait for a receipt, in milliseconds; default 0. */
  readonly waitMs?: number;
}

/** Why a record cannot be a message, as a sentence for people. */
export interface BulkFault {
  readonly fault: string;
}

/** What is read of a file. */
export interface Records {
  /** The header of a CSV file with its line end; empty for NDJSON. */
  readonly header: Buffer;
  /** Rejects with a BulkInputError. */
  readonly records: AsyncIterable<BulkRecord>;
}

/**
 * Reads NDJSON, or CSV with a header, whichever it is. Each message without an `idempotency_key` gets one
 * that depends on `baseKey`, on its line and on its text: in a second attempt at the same file it is the
 * same, and a message that was corrected has another one. Rejects with a UsageError if it is neither.
 */
export async function readRecords(input: BulkInput, baseKey: string): Promise<Records> {
  const chunks = readChunks(input);
  const start = await readStart(chunks).catch(refuseStart);
  if (start.length === 0) throw new UsageError(`--bulk: expected messages, ${input.name} is empty`);
  const text = start
    .toString('latin1')
    .replace(/^\u00ef\u00bb\u00bf/, '')
    .trimStart();
  const all = chainChunks(start, chunks);
  if (text.startsWith('{')) {
    return { header: Buffer.alloc(0), records: readNdjson(all, baseKey) };
  }
  return readCsv(all, baseKey, input.name);
}

/** Where nothing was sent, a faulty file is wrong usage. */
function refuseStart(error: unknown): never {
  throw error instanceof BulkInputError ? new UsageError(`--bulk: ${error.message}`) : error;
}

/** Reads until there is something that is not white space. */
async function readStart(chunks: AsyncGenerator<Buffer>): Promise<Buffer> {
  let start: Buffer = Buffer.alloc(0);
  while (/^(?:\u00ef\u00bb\u00bf)?\s*$/.test(start.toString('latin1'))) {
    const { value, done } = await chunks.next();
    if (done === true) return Buffer.alloc(0);
    start = start.length === 0 ? value : Buffer.concat([start, value]);
  }
  return start;
}

async function* chainChunks(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

const byteOrderMark = Buffer.from('\ufeff');

async function* readNdjson(
  chunks: AsyncIterable<Buffer>,
  baseKey: string,
): AsyncGenerator<BulkRecord> {
  let line = 0;
  for await (const source of splitLines(chunks)) {
    line += 1;
    // Files that were joined have one in the middle, and the gateway ignores it in every line.
    const isMarked = source.subarray(0, 3).equals(byteOrderMark);
    const bytes = isMarked ? source.subarray(3) : source;
    const text = bytes.toString('utf8').trimEnd();
    if (text === '') continue;
    const value = isUtf8(bytes) ? parseObject(text) : undefined;
    // What is not JSON is the gateway's to refuse; it says why.
    const message =
      value === undefined ? endLine(bytes) : Buffer.from(`${addKey(text, value, baseKey, line)}\n`);
    yield { line, source: endLine(source), message, waitMs: readWaitMs(value?.['wait']) };
  }
}

/** A line may ask the gateway to wait for a receipt, for at most 60 s. */
function readWaitMs(wait: unknown): number {
  return typeof wait === 'number' ? Math.min(wait, 60) * 1000 : 0;
}

/** Adds a key to a JSON object that has none, and leaves everything else as it is written. */
function addKey(
  json: string,
  value: Readonly<Record<string, unknown>>,
  baseKey: string,
  line: number,
): string {
  if (Object.hasOwn(value, 'idempotency_key')) return json;
  const parts = [baseKey, String(line), json];
  const key = createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
  const comma = Object.keys(value).length === 0 ? '' : ',';
  return `${json.slice(0, json.lastIndexOf('}'))}${comma}"idempotency_key":"${key}"}`;
}

function parseObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const required = ['to', 'body'] as const;
const columns: readonly string[] = [...required, 'subject', 'type', 'id', 'idempotency_key'];

async function readCsv(
  chunks: AsyncIterable<Buffer>,
  baseKey: string,
  name: string,
): Promise<Records> {
  const slices = splitRows(chunks);
  const first = await slices.next().catch(refuseStart);
  const names = first.done === true ? [] : first.value.fields.map((field) => field.trim());
  const unknown = names.find((field) => !columns.includes(field));
  const isComplete = required.every((field) => names.includes(field));
  if (first.done === true || !isComplete || unknown !== undefined) {
    const got = quote(names.join(','));
    const kinds = 'NDJSON (lines that begin with {) or CSV with a header that has to and body';
    throw new UsageError(
      isComplete
        ? `--bulk: expected only the columns ${columns.join(', ')} in ${name}, got ${quote(unknown ?? '')}`
        : `--bulk: expected ${kinds}, got ${name} with the first line ${got}`,
    );
  }
  if (new Set(names).size < names.length) {
    throw new UsageError(`--bulk: expected each column of ${name} once, got ${names.join(',')}`);
  }
  return { header: endLine(first.value.source), records: readRows(slices, names, baseKey) };
}

async function* readRows(
  slices: AsyncIterable<CsvRow>,
  names: readonly string[],
  baseKey: string,
): AsyncGenerator<BulkRecord> {
  for await (const { line, source, fields } of slices) {
    const row = readRow(source, fields, names);
    const message =
      typeof row === 'string'
        ? Buffer.from(`${addKey(row, parseObject(row) ?? {}, baseKey, line)}
`)
        : row;
    yield { line, source: endLine(source), message };
  }
}

/** Returns the message of a row as JSON, or why it has none. */
function readRow(
  source: Buffer,
  fields: readonly string[],
  names: readonly string[],
): string | BulkFault {
  if (!isUtf8(source)) return { fault: 'expected text in UTF-8' };
  if (fields.length !== names.length) {
    return { fault: `expected ${names.length} fields, got ${fields.length}` };
  }
  const cells = columns.flatMap((name): [string, string][] => {
    const cell = fields[names.indexOf(name)] ?? '';
    return cell === '' ? [] : [[name, cell]];
  });
  const row = Object.fromEntries(cells);
  // As in a form: usually something went wrong where the text was made.
  const missing = required.find((name) => !Object.hasOwn(row, name));
  return missing === undefined
    ? JSON.stringify(row)
    : { fault: `expected ${missing}, got an empty field` };
}
