import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../../core/errors.ts';
import type { SharedClaims } from '../../store/claims.ts';
import type { Answer } from '../response/answer.ts';
import { type AnswerStore, digestKey, keptMs, mismatch, stillInProgress } from './answer-once.ts';

const stored = z.object({
  payload: z.string(),
  answer: z
    .object({
      status: z.number(),
      code: z.string(),
      contentType: z.string(),
      body: z.string(),
    })
    .optional(),
});

type Stored = z.output<typeof stored>;

interface Claim {
  readonly payload: string;
  readonly token: string;
}

/**
 * Creates a store that other processes share. A request that is not finished within `inProgressMs`,
 * because its process died, may be sent again; `begin` rejects with GatewayError `store-unavailable`
 * while the claims cannot be reached.
 */
export function createSharedAnswerStore(claims: SharedClaims, inProgressMs: number): AnswerStore {
  const inProgress = new Map<string, Claim>();

  return {
    begin: async (use) => {
      const { digest } = use;
      const key = digestKey(use);
      // The token distinguishes this attempt from those of other processes.
      const own = { payload: digest, token: randomUUID() };
      const text = JSON.stringify(own);
      const found = await ask(() => claims.claim(storedAt(key), text, inProgressMs));
      if (found === undefined) {
        inProgress.set(key, own);
        return undefined;
      }
      if (found.payload !== digest) throw mismatch();
      if (found.answer === undefined) throw stillInProgress();
      return found.answer;
    },
    finish: async (callerKey, answer) => {
      const key = digestKey(callerKey);
      const claim = inProgress.get(key);
      inProgress.delete(key);
      if (claim === undefined) return async () => undefined;
      // All that this attempt stores begins like its claim.
      const mark = JSON.stringify(claim).slice(0, -1);
      const settle = (next: Answer | undefined): Promise<void> => {
        const text = next && JSON.stringify({ ...claim, answer: next });
        return claims.settle(storedAt(key), mark, text, keptMs);
      };
      await settle(answer);
      return settle;
    },
  };
}

function storedAt(key: string): string {
  return `xmpp-message-gateway:answer:${key}`;
}

async function ask(claim: () => Promise<string | undefined>): Promise<Stored | undefined> {
  try {
    const text = await claim();
    return text === undefined ? undefined : stored.parse(JSON.parse(text));
  } catch (error) {
    throw new GatewayError(
      'store-unavailable',
      'Nothing was sent: the store of the Idempotency-Keys cannot be reached. Send the message again later, with the same key.',
      { cause: error },
    );
  }
}
