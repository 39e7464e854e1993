import { write, writeSync } from 'node:fs';
import { Socket } from 'node:net';
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
