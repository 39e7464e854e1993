import type { Surroundings } from './command.ts';

/** A terminal, or a double of one in tests. */
type Screen = Surroundings['stderr'];

/** When work is worth a line, and how often the line is renewed, in milliseconds. */
const [quietMs, renewMs] = [2000, 1000];

/** Returns to the first column and clears the line (ECMA-48 §8.3.41). */
const startAgain = '\r\u001b[K';

/** Writes a line in place of the one that was shown before; shortened, because a wrapped one would stay. */
export function showLine(screen: Screen, text: string): void {
  // A terminal that does not know its width, such as a serial console, says 0.
  const width = (screen.columns || 80) - 1;
  screen.write(startAgain + (text.length > width ? `${text.slice(0, width - 1)}…` : text));
}

/** Removes the line that is shown. */
export function clearLine(screen: Screen): void {
  screen.write(startAgain);
}

/** On a terminal, shows what takes longer than two seconds, and for how long, until the work is done. */
export async function withProgress<T>(what: string, screen: Screen, work: Promise<T>): Promise<T> {
  if (screen.isTTY !== true) return work;
  const startedAt = performance.now();
  let isShown = false;
  const timer = setInterval(() => {
    const passedMs = performance.now() - startedAt;
    if (passedMs < quietMs) return;
    isShown = true;
    showLine(screen, `${what} … ${Math.round(passedMs / 1000)} s`);
  }, renewMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (isShown) clearLine(screen);
  }
}
