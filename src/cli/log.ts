import { write, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import type { DestinationStream } from 'pino';

/** Where the log goes. */
export interface LogStream extends DestinationStream {
  /**
   * Waits for the reader to take what is left, and after `timeoutMs` gives it up. Resolves with
   * whether the process can end now: not when the system holds on to a write for `timeoutMs` more.
   */
  end(timeoutMs: number): Promise<boolean>;
}

/** How long lines are gathered: nobody who reads along notices. */
const gatherMs = 10;

/** After how long a reader that took nothing is tried again. */
const retryMs = 100;

/** Most characters that wait for a reader: a log that stands still must not fill the memory. */
const maxWaiting = 16 * 1024 * 1024;

/**
 * Whole lines for the open file `fd`. They are written some milliseconds later, together: a write for
 * each line, or for each turn of the event loop, would cost a busy gateway some percent of its time.
 * What a full disk or a closed terminal does not take is lost, for no log is a reason to stop;
 * `onLost` is told of how many lines, once others are taken again.
 */
export function createLogStream(fd: number, onLost: (lines: number) => void): LogStream {
  let waiting = '';
  /** Taken from what waits, and not written yet. */
  let rest = Buffer.alloc(0);
  let lost = 0;
  let isBusy = false;
  let isWriting = false;
  let isGivenUp = false;
  let timer: NodeJS.Timeout | undefined;
  let onIdle: (() => void) | undefined;
  letWritesFail(fd);

  const flush = (): void => {
    rest = Buffer.from(waiting);
    waiting = '';
    writeRest(retryMs);
  };

  const writeRest = (pauseMs: number): void => {
    isWriting = true;
    write(fd, rest, (error, count) => {
      isWriting = false;
      const left = rest.subarray(error === null ? count : 0);
      if (isGivenUp) {
        rest = left;
        onIdle?.();
        return;
      }
      if (error?.code === 'EAGAIN') {
        timer = setTimeout(writeRest, pauseMs, retryMs);
        return;
      }
      rest = error === null ? left : Buffer.alloc(0);
      // A reader that has taken something soon takes more.
      if (rest.length > 0) writeRest(gatherMs);
      else finish(countLines(left.toString()));
    });
  };

  const finish = (lostNow: number): void => {
    isBusy = false;
    lost += lostNow;
    if (waiting !== '') gather();
    else onIdle?.();
    if (lostNow > 0 || lost === 0) return;
    const lines = lost;
    lost = 0;
    onLost(lines);
  };

  const gather = (): void => {
    if (isBusy) return;
    isBusy = true;
    timer = setTimeout(flush, gatherMs);
  };

  const idleWithin = (timeoutMs: number): Promise<void> =>
    new Promise((resolve) => {
      const deadline = setTimeout(resolve, timeoutMs);
      onIdle = () => {
        clearTimeout(deadline);
        resolve();
      };
    });

  process.once('exit', () => {
    let left = Buffer.concat([isWriting ? Buffer.alloc(0) : rest, Buffer.from(waiting)]);
    try {
      while (left.length > 0) left = left.subarray(writeSync(fd, left));
    } catch {
      // There is nobody left to tell.
    }
  });

  return {
    write: (lines) => {
      if (waiting.length + lines.length > maxWaiting) {
        lost += countLines(lines);
        return;
      }
      waiting += lines;
      gather();
    },
    end: async (timeoutMs) => {
      if (isBusy) await idleWithin(timeoutMs);
      clearTimeout(timer);
      isGivenUp = true;
      // On a busy machine a write that fails at once may take a while to say so.
      if (isWriting) await idleWithin(timeoutMs);
      return !isWriting;
    },
  };
}

/**
 * A write to a pipe or socket that nobody reads fails from now on (EAGAIN) where it would wait, in a
 * thread that keeps the process from ending. Node.js has no call for it but sets it on what it opens
 * as a socket, which is never closed. Files and terminals stay as they are.
 */
function letWritesFail(fd: number): void {
  try {
    void new Socket({ fd, readable: false, writable: true });
  } catch {
    // Neither a pipe nor a socket.
  }
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

/** Names and colours of pino's levels. */
const levels = new Map<unknown, readonly [name: string, colour: number]>([
  [10, ['trace', 90]],
  [20, ['debug', 90]],
  [30, ['info', 32]],
  [40, ['warn', 33]],
  [50, ['error', 31]],
  [60, ['fatal', 31]],
]);

/** Fields whose text has lines of its own. */
const blocks: readonly string[] = ['advice', 'stack'];

/** A destination for pino that writes each line for people: time, level, message, key=value. */
export function createPrettyLog(
  output: { write: (text: string) => unknown },
  isColoured: boolean,
): DestinationStream {
  return { write: (line) => void output.write(formatLogLine(line, isColoured)) };
}

/** Writes a JSON line of the log for people; what is not JSON stays as it is. */
export function formatLogLine(line: string, isColoured: boolean): string {
  const { level, time, msg, ...fields } = parseLine(line) ?? {};
  if (typeof time !== 'number') return line;
  const [name, colour] = levels.get(level) ?? [String(level), 0];
  const paint = (text: string, code: number): string =>
    isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
  const pairs = Object.entries(flatten(fields));
  const inline = pairs
    .filter(([key]) => !blocks.includes(key))
    .map(([key, value]) => ` ${paint(`${key}=`, 90)}${formatValue(value)}`);
  const below = pairs
    .filter(([key]) => blocks.includes(key))
    .map(([, value]) => escapeLines(String(value)).replace(/^(?=.)/gm, '    '));
  // Local time: whoever reads this sits before the machine.
  const at = new Date(time);
  const clock = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const head = `${paint(clock, 90)} ${paint(name.padEnd(5), colour)} ${String(msg)}${inline.join('')}`;
  return `${[head, ...below].join('\n')}\n`;
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Of an error the message and the stack. */
function flatten({ err, ...fields }: Record<string, unknown>): Record<string, unknown> {
  if (typeof err !== 'object' || err === null) return fields;
  const message = 'message' in err ? err.message : undefined;
  return { ...fields, err: message, ...('stack' in err ? { stack: err.stack } : {}) };
}

/** Quoted unless it is a plain word; what would steer a terminal is escaped. */
function formatValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (typeof value !== 'string' || /^[\w@.:/*+-]+$/.test(text)) return text;
  return escapeControls(JSON.stringify(text));
}

function escapeLines(text: string): string {
  return text.split('\n').map(stripVTControlCharacters).map(escapeControls).join('\n');
}

function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
