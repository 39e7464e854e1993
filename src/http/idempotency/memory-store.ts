import { LRUCache } from 'lru-cache';
import type { Answer } from '../response/answer.ts';
import {
  type Amend,
  type AnswerStore,
  digestKey,
  keptMs,
  mismatch,
  stillInProgress,
} from './answer-once.ts';

interface KeptAnswer {
  readonly payload: string;
  readonly answer: Answer;
}

/** Memory limit for all answers; the least recently used are dropped. */
const maxBytes = 64 * 1024 * 1024;

const ignore: Amend = async () => undefined;

/** Creates an empty store in memory, which does not survive a restart. */
export function createAnswerStore(): AnswerStore {
  const answered = new LRUCache<string, KeptAnswer>({
    // Not `max`, for which the cache allocates all its memory at once.
    maxSize: maxBytes,
    sizeCalculation: ({ answer }) => answer.body.length + 500,
    ttl: keptMs,
    perf: performance,
  });
  const inProgress = new Map<string, string>();

  return {
    begin: async (use) => {
      const { digest } = use;
      const key = digestKey(use);
      const entry = answered.get(key);
      const first = entry?.payload ?? inProgress.get(key);
      if (first !== undefined && first !== digest) throw mismatch();
      if (entry !== undefined) return entry.answer;
      if (first !== undefined) throw stillInProgress();
      inProgress.set(key, digest);
      return undefined;
    },
    finish: async (callerKey, answer) => {
      const key = digestKey(callerKey);
      const payload = inProgress.get(key);
      inProgress.delete(key);
      if (answer === undefined || payload === undefined) return ignore;
      answered.set(key, { payload, answer });
      return async (later) => {
        if (later === undefined) answered.delete(key);
        else if (answered.has(key)) answered.set(key, { payload, answer: later });
      };
    },
  };
}
