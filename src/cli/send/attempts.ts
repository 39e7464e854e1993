import { setTimeout as sleep } from 'node:timers/promises';
import type { Surroundings } from '../command.ts';
import { PostFailure } from './failure.ts';
import {
  combineOutcomes,
  type Fate,
  judgeFailure,
  type Outcome,
  readAnswer,
  type SendAttempt,
} from './outcome.ts';
import { post } from './post.ts';
import type { SendRequest } from './request.ts';

const [firstPauseMs, longestPauseMs] = [1000, 10_000];

/** What became of a message. */
export interface Result {
  /** The outcome for each recipient. */
  readonly outcomes: readonly Outcome[];
  /** The last that is known of each recipient. */
  readonly fates: readonly Fate[];
  /** The body of the last answer. */
  readonly answer: string | undefined;
}

/** Makes attempts until the fate of the message is known, another would not help, or the time is up. */
export async function tryUntil(
  request: SendRequest,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  { stderr }: Surroundings,
): Promise<Result> {
  const deadline = performance.now() + timeoutMs;
  const histories: Fate[][] = request.to.map(() => []);
  let lastReasons = '';
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
    const { fates, answer, retryAfterMs } = await attemptPost(request, headers, leftMs);
    const latest = fates.map((fate, index) => record(histories[index] ?? [], fate));
    const waitMs = Math.max(retryAfterMs ?? pauseMs, firstPauseMs);
    const pending = latest.filter(({ mayRetry }) => mayRetry);
    if (pending.length === 0 || performance.now() + waitMs >= deadline) {
      const outcomes = histories.map((history) =>
        combineOutcomes(history.map(({ outcome }) => outcome)),
      );
      return { outcomes, fates: latest, answer };
    }
    const reasons = unique(pending.map(({ reason }) => reason));
    if (reasons !== lastReasons) stderr.write(reasons);
    lastReasons = reasons;
    stderr.write(`Trying again in ${waitMs / 1000} s.\n`);
    await sleep(waitMs);
  }
}

/** Makes one attempt; the result includes network errors. */
async function attemptPost(
  { url, to, body }: SendRequest,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<SendAttempt> {
  try {
    return readAnswer(await post(url, headers, body, timeoutMs), to);
  } catch (error) {
    if (!(error instanceof PostFailure)) throw error;
    const reason = `no answer from ${new URL(url).origin}: ${error.message}`;
    const verdict = judgeFailure(error);
    const unsent = { isOwn: false, id: undefined, hasArrived: false };
    const fate = { ...verdict, ...unsent, reason, details: [] };
    return { answer: undefined, fates: to.map(() => fate), retryAfterMs: undefined };
  }
}

/** Adds a fate to a recipient's history; returns the last that is known. */
function record(history: Fate[], fate: Fate): Fate {
  const last = history.at(-1);
  // What is settled stays so when the request as a whole fails later; a confirmed message always does.
  const isSettled = last?.outcome === 'confirmed' || (last?.mayRetry === false && !fate.isOwn);
  if (isSettled) return last;
  history.push(fate);
  return fate;
}

/** Joins lines; what is true of several recipients is said once. */
export function unique(lines: readonly string[]): string {
  return [...new Set(lines)].map((line) => `${line}\n`).join('');
}
