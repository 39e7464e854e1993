import { createHash, hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../core/errors.ts';
import type { CallerKey } from './key.ts';

/** An answer as it is sent. */
export interface Answer {
  readonly status: number;
  /** `ok` or a problem's, for the log. */
  readonly code: string;
  readonly contentType: string;
  readonly body: string;
}

/** Remembers what callers were answered, by their Idempotency-Key. */
export interface AnswerStore {
  /**
   * Resolves with the answer to an earlier request with this key; undefined when this is the first
   * one, which has to be followed by `finish`. Rejects with GatewayError `idempotency-in-progress`
   * while the first one is being answered, `idempotency-mismatch` when its payload was another.
   */
  begin(key: CallerKey, payload: Payload): Promise<Answer | undefined>;
  /** Keeps the answer; without one, the request may be tried again. Never rejects. */
  finish(key: CallerKey, answer: Answer | undefined): Promise<void>;
}

/** What tells one request from another with the same key. */
export type Payload = readonly (string | Uint8Array)[];

interface Entry {
  readonly payload: string;
  readonly answer: Answer;
}

/** How long answers are kept. */
export const keptMs = 24 * 60 * 60 * 1000;

/** How much of them is kept in memory: those used longest ago give way. */
const maxBytes = 64 * 1024 * 1024;

/** Creates an empty store in memory; a restart forgets it. */
export function createAnswerStore(): AnswerStore {
  const answered = new LRUCache<string, Entry>({
    // A cap on their number would take its memory at once; this is one as well.
    maxSize: maxBytes,
    sizeCalculation: ({ answer }) => answer.body.length + 500,
    ttl: keptMs,
    perf: performance,
  });
  const inProgress = new Map<string, string>();

  return {
    begin: async (callerKey, payload) => {
      const key = digestKey(callerKey);
      const digest = digestPayload(callerKey, payload);
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
      if (answer !== undefined && payload !== undefined) answered.set(key, { payload, answer });
    },
  };
}

/** Stands for a key where it is stored. */
export function digestKey({ caller, key }: CallerKey): string {
  return hash('sha256', JSON.stringify([caller, key]), 'base64');
}

/** Stands for a payload; without the key, nobody can try which text it was made of. */
export function digestPayload({ caller, key }: CallerKey, payload: Payload): string {
  const digest = createHash('sha256');
  for (const part of [caller, key, ...payload]) {
    // The length keeps the parts apart.
    digest.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  return digest.digest('base64');
}

/** The refusal of another payload. */
export function mismatch(): GatewayError {
  return new GatewayError(
    'idempotency-mismatch',
    'This Idempotency-Key was sent before with another payload. Send a new key for a new message.',
  );
}

/** The refusal of a request whose answer is to come. */
export function stillInProgress(): GatewayError {
  return new GatewayError(
    'idempotency-in-progress',
    'A request with this Idempotency-Key is being answered. Send it again to get that answer.',
  );
}
