/** Work that waits for its turn of the event loop. */
export interface Turns {
  /** Runs `task` soon; what is preferred comes first. */
  add(task: () => void, isPreferred: boolean): void;
}

/** How long the other tasks may take in one turn, in milliseconds; at least one of them runs. */
const defaultBudgetMs = 0.1;

/**
 * Creates the queue of one listener. Requests that cost little come by the thousand, and whoever
 * sends them must not keep everybody else from being read: in each turn of the event loop all
 * preferred tasks run, and of the others as many as fit into a short time, the oldest first.
 */
export function createTurns(budgetMs = defaultBudgetMs): Turns {
  let preferred: (() => void)[] = [];
  const others = new Set<() => void>();
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(run);
  }

  function run(): void {
    isScheduled = false;
    const first = preferred;
    preferred = [];
    for (const task of first) task();
    if (others.size > 0) runOthers();
    if (preferred.length + others.size > 0) schedule();
  }

  function runOthers(): void {
    const untilMs = performance.now() + budgetMs;
    for (const task of others) {
      others.delete(task);
      task();
      if (performance.now() >= untilMs) return;
    }
  }

  return {
    add(task, isPreferred) {
      if (isPreferred) preferred.push(task);
      else others.add(task);
      schedule();
    },
  };
}
