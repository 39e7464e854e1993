import { createReadStream, fstatSync, open } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { reasonOf } from '../../config/errors.ts';
import { type Surroundings, UsageError } from '../command.ts';

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

const lineFeed = 0x0a;

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

/** Yields the bytes as they come; rejects with a BulkInputError. */
export async function* readChunks({ name, stream }: BulkInput): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield Buffer.from(chunk);
  } catch (error) {
    throw new BulkInputError(`${name} cannot be read: ${reasonOf(error)}`);
  }
}

/** Yields lines with their line ends; rejects with a BulkInputError if one is too long. */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
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

/** Adds a line end if there is none. */
export function endLine(source: Buffer): Buffer {
  return source.at(-1) === lineFeed ? source : Buffer.concat([source, Buffer.from('\n')]);
}

/** A row of CSV. */
export interface CsvRow {
  /** The line where it begins, from 1. */
  readonly line: number;
  /** As it is in the file. */
  readonly source: Buffer;
  readonly fields: readonly string[];
}

/** Yields rows, each with its bytes as they are in the file; rejects with a BulkInputError. */
export async function* splitRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<CsvRow> {
  const parser = await openParser();
  let kept: Buffer = Buffer.alloc(0);
  let line = 1;
  let taken = 0;
  const slice = ({ fields, end }: ParsedRow): CsvRow => {
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
interface ParsedRow {
  readonly fields: readonly string[];
  readonly end: number;
}

/**
 * Feeds csv-parse. Not as a stream, because that would lose the rows before an error: `take` returns those
 * of all that was written, and `write` and `end` resolve with the error.
 */
async function openParser() {
  const { parse } = await import('csv-parse');
  let rows: ParsedRow[] = [];
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
    take: (): ParsedRow[] => {
      const taken = rows;
      rows = [];
      return taken;
    },
  };
}

/** How many bytes of empty lines come before a row. */
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
