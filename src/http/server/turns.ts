/**
 * What a task is for: a message whose caller has given credentials, a piece of such a caller's chunked
 * body, or anything else.
 */
export type Rank = 'message' | 'chunks' | 'other';

/** Work that waits for a turn of the event loop. */
export interface Turns {
  /** Runs `task` soon; messages come first. */
  add(task: () => void, rank: Rank): void;
  /** Makes the present turn a short one. */
  shorten(): void;
}

/**
 * How long the tasks of each rank but the first may take per turn, in milliseconds; at least one of each
 * runs.
 */
const defaultBudgetMs = 0.1;
/** In a short turn, messages have this many times as long. */
const shortTurnFactor = 10;

/**
 * Creates the queue of a listener. Cheap requests and short chunks may arrive by the thousand, and their
 * senders must not keep the other connections from being read. So each turn of the event loop runs all
 * that is for messages, and as many of the other tasks as fit into a short time, the oldest first.
 */
export function createTurns(budgetMs = defaultBudgetMs): Turns {
  let forMessages: (() => void)[] = [];
  const waiting = { chunks: new Set<() => void>(), other: new Set<() => void>() };
  let isScheduled = false;
  let isShort = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(run);
  }

  function run(): void {
    isScheduled = false;
    runMessages();
    runSome('chunks');
    runSome('other');
    if (forMessages.length + waiting.chunks.size + waiting.other.size > 0) schedule();
  }

  function runMessages(): void {
    const untilMs = isShort ? performance.now() + shortTurnFactor * budgetMs : Infinity;
    isShort = false;
    const tasks = forMessages;
    forMessages = [];
    let count = 0;
    for (const task of tasks) {
      task();
      count += 1;
      if (performance.now() >= untilMs) break;
    }
    if (count < tasks.length) forMessages = [...tasks.slice(count), ...forMessages];
  }

  function runSome(rank: keyof typeof waiting): void {
    const untilMs = performance.now() + budgetMs;
    for (const task of waiting[rank]) {
      waiting[rank].delete(task);
      task();
      if (performance.now() >= untilMs) return;
    }
  }

  return {
    add(task, rank) {
      if (rank === 'message') forMessages.push(task);
      else waiting[rank].add(task);
      schedule();
    },
    shorten() {
      isShort = true;
    },
  };
}
