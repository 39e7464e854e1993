import {
  appendFileSync,
  closeSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  rmSync,
} from 'node:fs';
import { reasonOf } from '../../config/errors.ts';
import { type Surroundings, UsageError } from '../command.ts';
import { type BulkResult, BulkSender } from './bulk-sender.ts';
import { BulkInputError, openInput } from './input.ts';
import { exitCodes, exitSomeRefused, type LineFate, parseObject } from './outcome.ts';
import { BulkPost } from './post.ts';
import { openProgress } from './progress.ts';
import { type BulkFault, type BulkRecord, readRecords } from './records.ts';

/** What `send --bulk` is to do. */
export interface BulkOptions {
  /** The file with the messages, or `-`. */
  readonly bulk: string;
  /** The file for those that are refused. */
  readonly rejects: string | undefined;
  /** How many lines of the file to leave out. */
  readonly skip: number;
  /** What the keys of the messages are made from. */
  readonly key: string;
  readonly isKeyGiven: boolean;
  readonly timeoutMs: number;
  readonly isJson: boolean;
}

/** Sends the messages of a file; resolves with the exit code, rejects with a UsageError. */
export async function sendBulk(
  options: BulkOptions,
  url: string,
  authorization: string,
  surroundings: Surroundings,
): Promise<number> {
  const { stdout, stderr } = surroundings;
  const input = await openInput(options.bulk, surroundings);
  try {
    const { header, records } = await readRecords(input, options.key);
    const refusals = new Refusals(options.rejects, header);
    if (!options.isKeyGiven) {
      stderr.write(
        `To send ${input.name} again without duplicates, add: --idempotency-key ${options.key}\n`,
      );
    }
    const progress = await openProgress(stderr, input.bytes);
    const sender = new BulkSender(
      {
        connect: (events) => new BulkPost(url, { Authorization: authorization }, events),
        timeoutMs: options.timeoutMs,
        onSettled: (record, fate, answer) => {
          if ('fault' in fate || fate.outcome !== 'confirmed') refusals.add(record, fate);
          if (options.isJson) stdout.write(`${numberAnswer(record, fate, answer)}\n`);
        },
        onProgress: (counts) => progress.update(counts),
        say: (line) => progress.say(line),
      },
      options.skip,
    );
    const { result, signal } = await untilSignal(sender, records);
    progress.stop(result.stop === undefined);
    report(result, refusals, input.name, options, surroundings);
    refusals.close();
    return exitCodeOf(result, signal);
  } finally {
    input.stream.destroy();
  }
}

/** The first SIGINT or SIGTERM stops the sender; the second ends the process. */
async function untilSignal(
  sender: BulkSender,
  records: AsyncIterable<BulkRecord>,
): Promise<{ result: BulkResult; signal: keyof typeof signalExits | undefined }> {
  let received: keyof typeof signalExits | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    received = signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM';
    sender.stop({ outcome: 'interrupted', reasons: [] });
    unhandle();
  };
  const unhandle = (): void => {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return { result: await sender.send(records), signal: received };
  } finally {
    unhandle();
  }
}

/** As a shell reports what a signal has ended. */
const signalExits = { SIGINT: 130, SIGTERM: 143 } as const;

function exitCodeOf(
  { stop, refused }: BulkResult,
  signal: keyof typeof signalExits | undefined,
): number {
  if (stop?.outcome === 'interrupted') return signalExits[signal ?? 'SIGINT'];
  if (stop !== undefined && stop.outcome !== 'unreadable') return exitCodes[stop.outcome];
  return stop !== undefined || refused > 0 ? exitSomeRefused : 0;
}

/** The gateway's answer, with the line of the file in place of the line of the request. */
function numberAnswer(
  { line }: BulkRecord,
  fate: LineFate | BulkFault,
  answer: string | undefined,
): string {
  if (answer !== undefined) return answer.replace(/^\{"line":\d+/, `{"line":${line}`);
  return JSON.stringify({ line, detail: 'fault' in fate ? fate.fault : fate.reason });
}

function report(
  { accepted, refused, stop, doneTo }: BulkResult,
  refusals: Refusals,
  name: string,
  { key, rejects, isJson }: BulkOptions,
  { stdout, stderr }: Surroundings,
): void {
  stderr.write(refusals.describe());
  if (refused > 0 && rejects !== undefined) {
    stderr.write(`Correct the refused messages in ${rejects}, then send that file.\n`);
  }
  if (stop !== undefined) {
    stderr.write(stop.reasons.map((reason) => `${reason}\n`).join(''));
    const goOn = `Stopped: ${name} is done up to line ${doneTo}. To go on, add: --skip ${doneTo} --idempotency-key ${key}`;
    const another = `, and another name for --rejects. Those refused after line ${doneTo} will be in both files: correct only the ones in the new file.`;
    stderr.write(`${goOn}${refused > 0 && rejects !== undefined ? another : ''}\n`);
  }
  const counts = { lines: accepted + refused, accepted, refused };
  stdout.write(
    isJson ? `${JSON.stringify(counts)}\n` : `${accepted} accepted, ${refused} refused\n`,
  );
}

/** How many refusals are described one by one. */
const maxDescribed = 10;

/** The messages that are refused: counted, described and written to a file. */
class Refusals {
  readonly #file: string | undefined;
  readonly #descriptor: number | undefined;
  readonly #header: Buffer;
  readonly #described: string[] = [];
  readonly #counts = new Map<string, number>();

  /** Throws a UsageError if the file exists already and is not empty, or cannot be written. */
  constructor(file: string | undefined, header: Buffer) {
    this.#file = file;
    this.#header = header;
    // It contains what others wrote to somebody, and must never be the file that is being read.
    this.#descriptor = file === undefined ? undefined : openNew(file);
  }

  /** Throws a BulkInputError if the file cannot be written. */
  add(record: BulkRecord, fate: LineFate | BulkFault): void {
    const reason = 'fault' in fate ? fate.fault : fate.reason;
    if (this.#descriptor !== undefined) this.#write(this.#descriptor, record, fate);
    const kind = /\b\d{3} [\w-]+/.exec(reason)?.[0] ?? 'not a message';
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    if (this.#described.length < maxDescribed) {
      const details = 'fault' in fate ? [] : fate.details;
      this.#described.push([`line ${record.line}: ${reason}`, ...details].join('\n'));
    }
  }

  #write(descriptor: number, record: BulkRecord, fate: LineFate | BulkFault): void {
    const header = this.#counts.size === 0 ? this.#header : Buffer.alloc(0);
    try {
      appendFileSync(descriptor, Buffer.concat([header, rejectOf(record, fate)]));
    } catch (error) {
      throw new BulkInputError(`${this.#file}: ${reasonOf(error)}`);
    }
  }

  /** Describes the first ones, and if there are more, how many of which kind. */
  describe(): string {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    const kinds = [...this.#counts].map(([kind, count]) => `${count} × ${kind}`).join(', ');
    const rest = total > maxDescribed ? [`and ${total - maxDescribed} more; in all ${kinds}`] : [];
    return [...this.#described, ...rest].map((line) => `${line}\n`).join('');
  }

  /** Closes the file, and removes it if it is empty. */
  close(): void {
    if (this.#file === undefined || this.#descriptor === undefined) return;
    const { size } = fstatSync(this.#descriptor);
    closeSync(this.#descriptor);
    if (size === 0) rmSync(this.#file);
  }
}

/** Opens a file that only we can read; an empty one is what a run leaves that was killed. */
function openNew(file: string): number {
  try {
    const descriptor = openSync(file, isEmptyFile(file) ? 'a' : 'wx', 0o600);
    fchmodSync(descriptor, 0o600);
    return descriptor;
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const reason = isThere ? 'it exists already' : reasonOf(error);
    throw new UsageError(`--rejects: expected a new file, got ${file}: ${reason}`);
  }
}

function isEmptyFile(file: string): boolean {
  const found = lstatSync(file, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === 0;
}

/** What to send again: the message as it was, but only for those recipients who do not have it. */
function rejectOf({ source, message }: BulkRecord, fate: LineFate | BulkFault): Buffer {
  if ('fault' in fate || fate.refused === undefined || 'fault' in message) return source;
  // Another list needs another key.
  const { idempotency_key: _key, to: all, ...others } = parseObject(message.toString('utf8'));
  const to = fate.refused.map((index) => [all].flat()[index]);
  return Buffer.from(`${JSON.stringify({ to, ...others })}\n`);
}
