import type { Logger } from 'pino';

/** Why a connection was closed by the gateway, though its client had done nothing wrong. */
export type DropReason = (typeof dropReasons)[number];

/** All the reasons there are. */
export const dropReasons = ['refused', 'displaced', 'held'] as const;

/** Hears of each connection that is dropped. */
export type OnDrop = (reason: DropReason) => void;

const intervalMs = 10_000;

/** Creates what logs dropped connections: the first at once, then one line in `intervalMs`. */
export function createDropLog(log: Logger): OnDrop {
  let counts: Partial<Record<DropReason, number>> = {};
  let isQuiet = false;

  function write(): void {
    isQuiet = Object.keys(counts).length > 0;
    if (!isQuiet) return;
    log.warn(counts, 'connections dropped');
    counts = {};
    setTimeout(write, intervalMs).unref();
  }

  return (reason) => {
    counts[reason] = (counts[reason] ?? 0) + 1;
    if (!isQuiet) write();
  };
}
