import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream, fstatSync, open } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { reasonOf } from '../../config/errors.ts';
import { isRecord } from '../../core/json.ts';
import { quote } from '../../core/text.ts';
import { type Surroundings, UsageError } from '../command.ts';

/** One message of a file. */
export interface BulkRecord {
  /** The line of the file where it begins, from 1. */
  readonly line: number;
  /** As it stands in the file, with its line end. */
  readonly source: Buffer;
  /** The line for the gateway, with its key and line end; or why it cannot be one. */
  readonly message: Buffer | BulkFault;
}

/** Why a record cannot be a message, as a sentence for people. */
export interface BulkFault {
  readonly fault: string;
}

/** A file of messages. */
export interface BulkInput {
  /** For people: the name of the file. */
  readonly name: string;
  /** The size of the file in bytes, if it is known. */
  readonly bytes: number | undefined;
  readonly stream: Readable;
}

/** The file cannot be read any further; the message is a sentence for people. */
export class BulkInputError extends Error {
  override readonly name = 'BulkInputError';
}

/** The largest body that a gateway can be configured to accept. */
const maxRecordBytes = 67_108_864;

/** Opens a file, or stdin for `-`; rejects with a UsageError if it cannot be read. */
export async function openInput(
  name: string,
  { stdin }: Pick<Surroundings, 'stdin'>,
): Promise<BulkInput> {
  if (name === '-') return { name: 'stdin', bytes: undefined, stream: stdin };
  try {
    // Not as a FileHandle: that would close itself below the socket.
    const fd = await promisify(open)(name, 'r');
    const stats = fstatSync(fd);
    // A read of a pipe that blocks would keep the process from ending.
    if (stats.isFIFO()) {
      return {
        name,
        bytes: undefined,
        stream: new Socket({ fd, readable: true, writable: false }),
      };
    }
    const bytes = stats.isFile() ? stats.size : undefined;
    return { name, bytes, stream: createReadStream(name, { fd }) };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new UsageError(
      `--bulk: expected a file that can be read, got ${name}: ${reasonOf(error)}`,
    );
  }
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

async function* readChunks({ name, stream }: BulkInput): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield Buffer.from(chunk);
  } catch (error) {
    throw new BulkInputError(`${name} cannot be read: ${reasonOf(error)}`);
  }
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

const lineFeed = 0x0a;
const byteOrderMark = Buffer.from('\ufeff');

async function* readNdjson(
  chunks: AsyncIterable<Buffer>,
  baseKey: string,
): AsyncGenerator<BulkRecord> {
  let line = 0;
  for await (const source of splitLines(chunks)) {
    line += 1;
    const isMarked = line === 1 && source.subarray(0, 3).equals(byteOrderMark);
    const bytes = isMarked ? source.subarray(3) : source;
    const text = bytes.toString('utf8').trimEnd();
    if (text === '') continue;
    const json = isUtf8(bytes) ? addKey(text, baseKey, line) : undefined;
    // What is not JSON is the gateway's to refuse; it says why.
    const message = json === undefined ? endLine(bytes) : Buffer.from(`${json}\n`);
    yield { line, source: endLine(source), message };
  }
}

/** Yields lines with their line ends; rejects with a BulkInputError if one is too long. */
async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let lines = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const piece = chunk.subarray(start, end + 1);
      lines += 1;
      // A copy: a part of the chunk would keep all of it in memory while the line waits for its answer.
      yield Buffer.concat([...kept, piece]);
      [kept, keptBytes, start] = [[], 0, end + 1];
    }
    const rest = chunk.subarray(start);
    if (rest.length > 0) kept.push(rest);
    keptBytes += rest.length;
    if (keptBytes > maxRecordBytes) {
      throw new BulkInputError(`line ${lines + 1} is longer than ${maxRecordBytes} bytes`);
    }
  }
  if (kept.length > 0) yield Buffer.concat(kept);
}

function endLine(source: Buffer): Buffer {
  return source.at(-1) === lineFeed ? source : Buffer.concat([source, Buffer.from('\n')]);
}

/**
 * Adds a key to a JSON object that has none, and leaves everything else as it is written. Returns
 * undefined if the text is not a JSON object.
 */
function addKey(json: string, baseKey: string, line: number): string | undefined {
  const value = parseObject(json);
  if (value === undefined) return undefined;
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
  const slices = parseCsv(chunks);
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
  slices: AsyncIterable<Slice>,
  names: readonly string[],
  baseKey: string,
): AsyncGenerator<BulkRecord> {
  for await (const { line, source, fields } of slices) {
    const row = readRow(source, fields, names);
    const message = typeof row === 'string' ? Buffer.from(`${addKey(row, baseKey, line)}\n`) : row;
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

/** A row of CSV. */
interface Slice {
  readonly line: number;
  readonly source: Buffer;
  readonly fields: readonly string[];
}

/** Yields rows, each with its bytes as they stand in the file; rejects with a BulkInputError. */
async function* parseCsv(chunks: AsyncIterable<Buffer>): AsyncGenerator<Slice> {
  const parser = await openParser();
  let kept: Buffer = Buffer.alloc(0);
  let line = 1;
  let taken = 0;
  const slice = ({ fields, end }: Row): Slice => {
    const whole = kept.subarray(0, end - taken);
    kept = kept.subarray(end - taken);
    taken = end;
    // A copy, as a part would keep all of the chunk in memory.
    const source = Buffer.from(whole.subarray(blankBytes(whole)));
    const first = line + countLines(whole) - countLines(source);
    line = first + countLines(source);
    return { line: first, source, fields };
  };
  try {
    for await (const chunk of chunks) {
      kept = Buffer.concat([kept, chunk]);
      const failure = await parser.write(chunk);
      yield* parser.take().map(slice);
      if (failure != null) throw failure;
    }
    const failure = await parser.end();
    yield* parser.take().map(slice);
    if (failure != null) throw failure;
  } catch (error) {
    if (error instanceof BulkInputError || !(error instanceof Error)) throw error;
    throw new BulkInputError(`not CSV after line ${line - 1}: ${error.message}`);
  }
}

/** What csv-parse says of a row: its fields, and how many bytes of the file it has read with it. */
interface Row {
  readonly fields: readonly string[];
  readonly end: number;
}

/**
 * Feeds csv-parse. Not as a stream, because that would lose the rows before an error: `take` returns those
 * of all that was written, and `write` and `end` resolve with the error.
 */
async function openParser() {
  const { parse } = await import('csv-parse');
  let rows: Row[] = [];
  const parser = parse({
    bom: true,
    record_delimiter: ['\n', '\r\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
    on_record: (fields: string[], { bytes }) => {
      rows.push({ fields, end: bytes });
      return null;
    },
  });
  parser.on('error', () => undefined);
  type Failure = Error | null | undefined;
  return {
    write: (chunk: Buffer) =>
      new Promise<Failure>((resolve) => {
        parser.write(chunk, resolve);
      }),
    end: () =>
      new Promise<Failure>((resolve) => {
        parser.once('finish', () => resolve(undefined)).once('error', resolve);
        parser.end();
      }),
    take: (): Row[] => {
      const taken = rows;
      rows = [];
      return taken;
    },
  };
}

/** How many bytes of empty lines stand before a row. */
function blankBytes(source: Buffer): number {
  const index = source.findIndex((byte) => byte !== lineFeed && byte !== 0x0d);
  return Math.max(index, 0);
}

function countLines(source: Buffer): number {
  let lines = 0;
  for (let end = source.indexOf(lineFeed); end !== -1; end = source.indexOf(lineFeed, end + 1)) {
    lines += 1;
  }
  return lines;
}
