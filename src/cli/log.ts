import { write, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { DestinationStream } from 'pino';

/** How long lines are collected before a write: too short for a reader to notice. */
const collectMs = 10;

/** The pause before the next attempt after the reader has taken nothing. */
const retryMs = 100;

/** The most characters kept for a slow reader: a stalled log must not fill the memory. */
const maxWaiting = 16 * 1024 * 1024;

/**
 * Writes whole lines to an open file. It collects them for some milliseconds, because a write for each
 * line, or for each turn of the event loop, would cost a busy gateway a few percent of its time. Lines
 * that a full disk or a closed terminal refuses are lost: the log is no reason to stop.
 */
export class LogStream implements DestinationStream {
  readonly #fd: number;
  readonly #onLost: (lines: number) => void;
  /** The lines for the next batch. */
  #waiting = '';
  /** The part of the current batch that has not been written yet. */
  #rest = Buffer.alloc(0);
  #lost = 0;
  /** Whether a batch is scheduled or being written. */
  #isBusy = false;
  /** Whether the system is carrying out a write. */
  #isWriting = false;
  #hasEnded = false;
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  /** `onLost` gets the number of lines lost, as soon as others are written again. */
  constructor(fd: number, onLost: (lines: number) => void) {
    this.#fd = fd;
    this.#onLost = onLost;
    makeNonBlocking(fd);
    process.once('exit', () => this.#writeAtExit());
  }

  write(lines: string): void {
    if (this.#waiting.length + lines.length > maxWaiting) {
      this.#lost += countLines(lines);
      return;
    }
    this.#waiting += lines;
    this.#schedule();
  }

  /**
   * Waits up to `timeoutMs` for the reader to take the remaining lines, then gives up. Resolves with
   * whether the process can end now: not if the system is still blocked in a write after `timeoutMs`
   * more.
   */
  async end(timeoutMs: number): Promise<boolean> {
    if (this.#isBusy) await this.#idleWithin(timeoutMs);
    clearTimeout(this.#timer);
    this.#hasEnded = true;
    // On a busy machine, even a write that fails at once may take a while to report it.
    if (this.#isWriting) await this.#idleWithin(timeoutMs);
    return !this.#isWriting;
  }

  #schedule(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#timer = setTimeout(() => {
      this.#rest = Buffer.from(this.#waiting);
      this.#waiting = '';
      this.#writeRest(retryMs);
    }, collectMs);
  }

  #writeRest(pauseMs: number): void {
    this.#isWriting = true;
    write(this.#fd, this.#rest, (error, count) => {
      this.#isWriting = false;
      const left = this.#rest.subarray(error === null ? count : 0);
      if (this.#hasEnded) {
        this.#rest = left;
        this.#onIdle?.();
        return;
      }
      if (error?.code === 'EAGAIN') {
        this.#timer = setTimeout(() => this.#writeRest(retryMs), pauseMs);
        return;
      }
      this.#rest = error === null ? left : Buffer.alloc(0);
      // A reader that has just taken something will soon take more.
      if (this.#rest.length > 0) this.#writeRest(collectMs);
      else this.#finishBatch(countLines(left.toString()));
    });
  }

  #finishBatch(lostNow: number): void {
    this.#isBusy = false;
    this.#lost += lostNow;
    if (this.#waiting !== '') this.#schedule();
    else this.#onIdle?.();
    if (lostNow > 0 || this.#lost === 0) return;
    const lines = this.#lost;
    this.#lost = 0;
    this.#onLost(lines);
  }

  #idleWithin(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const deadline = setTimeout(resolve, timeoutMs);
      this.#onIdle = () => {
        clearTimeout(deadline);
        resolve();
      };
    });
  }

  #writeAtExit(): void {
    const rest = this.#isWriting ? Buffer.alloc(0) : this.#rest;
    let left = Buffer.concat([rest, Buffer.from(this.#waiting)]);
    try {
      while (left.length > 0) left = left.subarray(writeSync(this.#fd, left));
    } catch {
      // There is nowhere left to report it.
    }
  }
}

/**
 * Makes writes to a pipe or socket that nobody reads fail (EAGAIN). A blocking write would occupy a
 * thread, and the process could not end. Node.js has no call for this, but does it for whatever it opens
 * as a socket; this one is never closed. Files and terminals stay as they are.
 */
function makeNonBlocking(fd: number): void {
  try {
    void new Socket({ fd, readable: false, writable: true });
  } catch {
    // Neither a pipe nor a socket.
  }
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

/**
 * Creates a destination for pino that formats each line for people. It formats in this thread and writes
 * to `output`, because a worker thread could lose lines and keep the process from ending. pino-pretty is
 * imported only here: a service, which logs JSON, starts without it.
 */
export async function createPrettyLog(
  output: DestinationStream,
  isColoured: boolean,
): Promise<DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({
    colorize: isColoured,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    // These keep their line breaks: a stack trace, and configuration lines to copy.
    errorLikeObjectKeys: ['err', 'advice'],
    customPrettifiers: { advice: (text) => (typeof text === 'string' ? escapeControls(text) : '') },
  });
  return { write: (line) => output.write(format(escapeInvisible(line))) };
}

/** pino-pretty writes what a prettifier returns as it is. Line breaks stay. */
function escapeControls(text: string): string {
  return text.replace(/[\0-\x09\x0b-\x1f]/g, toEscape);
}

function toEscape(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

/**
 * Escapes characters that could make a terminal show something else. JSON escapes only ASCII control
 * characters, and pino-pretty silently drops or even prints the others.
 */
function escapeInvisible(json: string): string {
  // Twice, because the first backslash is JSON's.
  return json.replace(
    /[\u007f-\u009f\p{Cf}\u2028\u2029]/gu,
    (character) => `\\${toEscape(character)}`,
  );
}
