import { buildProblem } from '../response/problem.ts';
import type { CallerKey } from './key.ts';
import type { Answer, AnswerStore, Payload } from './memory-store.ts';

/** An answer, and whether it was given before. */
export interface OnceAnswer extends Answer {
  readonly isReplayed: boolean;
}

/**
 * Sends once for each key, and gives the first answer again to all later requests
 * (draft-ietf-httpapi-idempotency-key-header-07 §2.6). What may pass, a 5xx or 429, is not kept.
 */
export async function answerOnce(
  store: AnswerStore,
  request: { readonly key: CallerKey; readonly payload: Payload; readonly id: string },
  send: () => Promise<Answer>,
): Promise<OnceAnswer> {
  const { key, payload, id } = request;
  const stored = await store.begin(key, payload);
  if (stored !== undefined) return { ...stored, isReplayed: true };
  let kept: Answer | undefined;
  try {
    kept = await send();
    return { ...kept, isReplayed: false };
  } catch (error) {
    const { status, code, headers, body } = buildProblem(error, id);
    if (status < 500 && status !== 429) {
      kept = { status, code, contentType: headers['Content-Type'] ?? '', body };
    }
    throw error;
  } finally {
    await store.finish(key, kept);
  }
}
