import type { Surroundings } from '../command.ts';

/** How far a file of messages is. */
export interface Counts {
  readonly accepted: number;
  readonly refused: number;
  /** The bytes of the messages that have a final answer. */
  readonly bytes: number;
}

/** Shows how far it is, if stderr is a terminal. */
export interface Progress {
  update(counts: Counts): void;
  /** Prints a line. */
  say(line: string): void;
  /** Leaves the bar as it is, or full if all is done. */
  stop(isDone: boolean): void;
}

/** Opens a progress bar on a terminal. If the total of bytes is unknown, there are only numbers. */
export async function openProgress(
  stderr: Surroundings['stderr'] & { readonly isTTY?: boolean },
  total: number | undefined,
): Promise<Progress> {
  const write = (line: string): void => void stderr.write(`${line}\n`);
  if (stderr.isTTY !== true) return { update: () => undefined, say: write, stop: () => undefined };
  const { SingleBar } = await import('cli-progress');
  const numbers = '{rate}/s | {accepted} accepted, {refused} refused';
  const bar = new SingleBar({
    stream: stderr,
    format: total === undefined ? numbers : `{bar} {percentage}% | ${numbers} | {left} left`,
    barCompleteChar: '#',
    barIncompleteChar: '-',
    barsize: 20,
    linewrap: false,
    forceRedraw: true,
    gracefulExit: false,
  });
  const startedAt = performance.now();
  const describe = ({ accepted, refused, bytes }: Counts): object => {
    const seconds = (performance.now() - startedAt) / 1000;
    const left = bytes === 0 ? undefined : (seconds * ((total ?? 0) - bytes)) / bytes;
    return {
      rate: Math.round((accepted + refused) / Math.max(seconds, 0.001)),
      accepted,
      refused,
      left: left === undefined ? '?' : formatSeconds(left),
    };
  };
  const none = { accepted: 0, refused: 0, bytes: 0 };
  bar.start(total ?? 1, 0, describe(none));
  return {
    update: (counts) => bar.update(counts.bytes, describe(counts)),
    say: (line) => write(`\r\u001b[K${line}`),
    stop: (isDone) => {
      // Empty lines and a header count for the size, but not as messages.
      if (isDone && total !== undefined) bar.update(total, { left: '0:00' });
      bar.stop();
    },
  };
}

/** `1:05`, or from an hour on `1:00:05`. */
function formatSeconds(exact: number): string {
  const seconds = Math.ceil(exact);
  const minutes = Math.floor(seconds / 60);
  const parts = [minutes % 60, seconds % 60].map((part) => String(part).padStart(2, '0'));
  return minutes < 60 ? `${minutes}:${parts[1]}` : `${Math.floor(minutes / 60)}:${parts.join(':')}`;
}
