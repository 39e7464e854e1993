import { write, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

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
export function createLogStream(fd: number, onLost: (lines: number) => void): DestinationStream {
  let waiting = '';
  let lost = 0;
  let isBusy = false;

  const flush = (): void => {
    const bytes = Buffer.from(waiting);
    waiting = '';
    writeAll(bytes);
  };

  const writeAll = (bytes: Buffer): void => {
    write(fd, bytes, (error, count) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(writeAll, retryMs, bytes);
      } else if (error === null && count < bytes.length) {
        writeAll(bytes.subarray(count));
      } else {
        finish(error === null ? 0 : countLines(bytes.toString()));
      }
    });
  };

  const finish = (lostNow: number): void => {
    isBusy = false;
    lost += lostNow;
    if (waiting !== '') gather();
    if (lostNow > 0 || lost === 0) return;
    const lines = lost;
    lost = 0;
    onLost(lines);
  };

  const gather = (): void => {
    if (isBusy) return;
    isBusy = true;
    setTimeout(flush, gatherMs);
  };

  process.once('exit', () => {
    try {
      writeSync(fd, waiting);
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
  };
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}
