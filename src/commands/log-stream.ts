import { type DestinationStream, pino } from 'pino';

/** How long lines are gathered: nobody who reads along notices. */
const gatherMs = 10;

/**
 * Standard output for a log of JSON lines. They are written some milliseconds later, together: a write
 * for each line, or for each turn of the event loop, would cost a busy gateway some percent of its time.
 */
export function createLogStream(): DestinationStream {
  const output = pino.destination({ sync: false });
  let lines = '';
  const flush = (): void => {
    output.write(lines);
    lines = '';
  };
  process.once('exit', () => {
    if (lines === '') return;
    flush();
    output.flushSync();
  });
  return {
    write: (line) => {
      if (lines === '') setTimeout(flush, gatherMs);
      lines += line;
    },
  };
}
