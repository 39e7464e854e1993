import { setTimeout as delay } from 'node:timers/promises';

/**
 * How long the tests wait before they call something hung, in milliseconds. On a machine with ten
 * processes for each core everything takes ten times as long, so that this is never a requirement.
 */
export const hangMs = 120_000;

interface WaitOptions {
  /** What to wait for; the error of a timeout names it. */
  readonly label: string;
  /** Default `hangMs`. */
  readonly timeoutMs?: number;
  /** Pause between two calls of the condition; default 20. */
  readonly stepMs?: number;
}

/** Calls the condition until it returns something truthy, and returns that; throws after `timeoutMs`. */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  { label, timeoutMs = hangMs, stepMs = 20 }: WaitOptions,
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
