import { reasonOf } from '../config/errors.ts';
import type { Surroundings } from './command.ts';

/**
 * Lets a command go on when nobody takes its output any more (a full disk, a closed terminal), so that
 * its exit code says what it did. A fault of stdout is reported once on stderr, but not a reader who
 * ended before us, as in `check … | head`.
 */
export function tolerateLostOutput(
  { stdout, stderr }: Pick<Surroundings, 'stdout' | 'stderr'>,
  program: string,
): void {
  let isReported = false;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isReported || error.code === 'EPIPE') return;
    isReported = true;
    stderr.write(`${program}: the output could not be written: ${reasonOf(error)}\n`);
  });
  stderr.on('error', () => {});
}
