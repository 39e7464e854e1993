import { createHash, hash } from 'node:crypto';
import { GatewayError } from '../../core/errors.ts';
import type { Answer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';

/** An Idempotency-Key and its caller: the same key from two callers counts as two keys. */
export interface CallerKey {
  readonly caller: string;
  readonly key: string;
}

/** A use of a key, for a payload with this digest. */
export interface KeyUse extends CallerKey {
  readonly digest: string;
}

/** Keeps the answers to requests with an Idempotency-Key. */
export interface AnswerStore {
  /**
   * Resolves with the answer to an earlier request with this key. For the first request it resolves
   * with undefined, and `finish` must follow. Rejects with GatewayError `idempotency-in-progress`
   * while the first request is being answered, `idempotency-mismatch` if its payload was different.
   */
  begin(use: KeyUse): Promise<Answer | undefined>;
  /** Keeps the answer; without one, the request may be sent again. Never rejects. */
  finish(key: CallerKey, answer: Answer | undefined): Promise<Amend>;
}

/**
 * Replaces the answer that was kept, because more is known by now; without one, the request may be sent
 * again. Never rejects.
 */
export type Amend = (answer: Answer | undefined) => Promise<void>;

/** How long answers are kept. */
export const keptMs = 24 * 60 * 60 * 1000;

/** An answer, and whether it had been given before. */
export interface OnceAnswer extends Answer {
  readonly isReplayed: boolean;
  /** Only with the first answer. */
  readonly amend?: Amend | undefined;
}

/**
 * Sends once per key and replays the first answer to all later requests
 * (draft-ietf-httpapi-idempotency-key-header-07 §2.6). A refusal that may be temporary is not kept.
 */
export async function answerOnce(
  store: AnswerStore,
  request: { readonly use: KeyUse; readonly id: string },
  send: () => Promise<Answer>,
): Promise<OnceAnswer> {
  const { use, id } = request;
  const stored = await store.begin(use);
  // It does not wait.
  if (stored !== undefined) return { ...stored, waitSeconds: undefined, isReplayed: true };
  try {
    const answer = await send();
    return { ...answer, isReplayed: false, amend: await store.finish(use, answer) };
  } catch (error) {
    await store.finish(use, buildKeptRefusal(error, id));
    throw error;
  }
}

/**
 * Builds the refusal if it is to be kept. 413 goes by a limit that an operator, or the XMPP server's
 * operator, may raise.
 */
export function buildKeptRefusal(error: unknown, id: string): Answer | undefined {
  const refusal = buildRefusal(error, id);
  const { status } = refusal;
  return status < 500 && status !== 429 && status !== 413 ? refusal : undefined;
}

const claimed: Answer = { status: 200, code: 'ok', contentType: '', body: '' };

/**
 * Binds a key to the payload of a list, whose answers are kept for each recipient by itself. Rejects as
 * `begin` does.
 */
export async function claimForList(store: AnswerStore, use: KeyUse): Promise<void> {
  if ((await store.begin(use)) === undefined) await store.finish(use, claimed);
}

/**
 * Parses the header (draft-ietf-httpapi-idempotency-key-header-07 §2.1): 1 to 255 visible characters,
 * bare or as a string of RFC 9651 §3.3.3. Returns undefined if there is no header; throws
 * GatewayError `invalid-message`.
 */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header) ?? [];
  const key = quoted === undefined ? header : quoted.replace(/\\(.)/g, '$1');
  return parseKey(key, 'Idempotency-Key');
}

/** Checks a key that is given at `place`; throws GatewayError `invalid-message`. */
export function parseKey(key: unknown, place: string): string {
  if (typeof key === 'string' && /^[!-~]{1,255}$/.test(key)) return key;
  throw new GatewayError(
    'invalid-message',
    `${place}: expected 1 to 255 visible ASCII characters, without spaces.`,
  );
}

/** Derives the id of the stanza: the same for each attempt with this key. */
export function deriveStanzaId({ caller, key }: CallerKey): string {
  return hash('sha256', JSON.stringify([caller, key]), 'base64url');
}

/** The digest that a key is stored under. */
export function digestKey({ caller, key }: CallerKey): string {
  return hash('sha256', JSON.stringify([caller, key]), 'base64');
}

/**
 * Uses a key for a payload, which two requests with the same key must have in common. Only somebody who
 * has the key can guess the text by trial of its digest.
 */
export function useKey(
  { caller, key }: CallerKey,
  payload: readonly (string | Uint8Array)[],
): KeyUse {
  const digest = createHash('sha256');
  for (const part of [caller, key, ...payload]) {
    // The length separates the parts.
    digest.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  return { caller, key, digest: digest.digest('base64') };
}

/** The refusal of a different payload. */
export function mismatch(): GatewayError {
  return new GatewayError(
    'idempotency-mismatch',
    'This Idempotency-Key was sent before with another payload. Send a new key for a new message.',
  );
}

/** The refusal of a request whose answer is still pending. */
export function stillInProgress(): GatewayError {
  return new GatewayError(
    'idempotency-in-progress',
    'A request with this Idempotency-Key is being answered. Send it again to get that answer.',
  );
}
