import { setTimeout as delay } from 'node:timers/promises';

interface WaitOptions {
  /** What is waited for; the message of a timeout names it. */
  readonly label: string;
  /** Ends what hangs, also on a busy machine; default 60,000. */
  readonly timeoutMs?: number;
  /** Pause between two looks; default 20. */
  readonly stepMs?: number;
}

/** Looks until the condition gives something truthy and returns that; throws after the deadline. */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  { label, timeoutMs = 60_000, stepMs = 20 }: WaitOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) {
      throw new Error(`expected ${label} within ${timeoutMs} ms, but it did not come`);
    }
    await delay(stepMs);
  }
}
