import { isRecord } from '../../core/json.ts';
import { exitUsage } from '../command.ts';
import { describeAnswer, type Fields } from './description.ts';
import type { PostFailure } from './failure.ts';
import type { PostAnswer } from './post.ts';

/** The result of one attempt. */
export interface SendAttempt {
  /** The body of the answer; undefined if none came. */
  readonly answer: string | undefined;
  /** What happened to the message for each recipient, in the order of the request. */
  readonly fates: readonly Fate[];
  readonly retryAfterMs: number | undefined;
}

/** What happened to the message for one recipient. */
export interface Fate extends Verdict {
  /** Whether the answer is about this recipient alone, not about the whole request. */
  readonly isOwn: boolean;
  /** The id of the message, if it was confirmed. */
  readonly id: string | undefined;
  /** Whether a client of the recipient has it. */
  readonly hasArrived: boolean;
  /** What happened, as a sentence for people. */
  readonly reason: string;
  /** Further lines for people. */
  readonly details: readonly string[];
}

/** Reads the answer to one message, for each of its recipients. */
export function readAnswer(answer: PostAnswer, to: readonly string[]): SendAttempt {
  const fields = parseObject(answer.text);
  return {
    answer: answer.text,
    fates: to.length === 1 ? [readWhole(answer, fields)] : readResults(answer, fields, to),
    retryAfterMs: readRetryAfter(answer.retryAfter),
  };
}

/** Reads Retry-After in seconds; returns milliseconds, or undefined for anything else. */
export function readRetryAfter(text: string): number | undefined {
  return /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

function readWhole({ status, location }: PostAnswer, fields: Fields): Fate {
  return describeFate(judgeAnswer(status, fields), status, fields, location);
}

function readResults(answer: PostAnswer, fields: Fields, to: readonly string[]): Fate[] {
  const { results } = fields;
  const isAccepted = answer.status === 200 || answer.status === 207;
  if (isAccepted && Array.isArray(results) && results.length === to.length) {
    return to.map((address, index) => readResult(address, results[index]));
  }
  // Without a result for each recipient, a receipt is not from a gateway.
  const whole = readWhole(answer, isAccepted ? {} : fields);
  return to.map(() => whole);
}

function readResult(address: string, result: unknown): Fate {
  const fields = isRecord(result) ? result : {};
  const status = Number(fields['status']);
  const fate = describeFate(judgeResult(fields), status, fields);
  return { ...fate, isOwn: true, reason: `${address}: ${fate.reason}` };
}

/** What happened to a message of many, for one or several recipients. */
export interface LineFate extends Omit<Fate, 'isOwn' | 'id' | 'hasArrived'> {
  /** The places in the list of recipients that were refused; undefined if the answer is about all. */
  readonly refused: readonly number[] | undefined;
}

/** Reads an answer that is about many messages as a whole, which is never a receipt. */
export function readRefusal(answer: PostAnswer): Fate {
  const isAccepted = answer.status === 200 || answer.status === 207;
  return readWhole(answer, isAccepted ? {} : parseObject(answer.text));
}

/** Reads one line of the answer to many messages in one request. */
export function readLine(fields: Fields): LineFate {
  const { results } = fields;
  const status = Number(fields['status']);
  if (!Array.isArray(results)) {
    return { ...describeFate(judgeResult(fields), status, fields), refused: undefined };
  }
  const fates = results.map((result) =>
    readResult(isRecord(result) ? String(result['to']) : '', result),
  );
  const outcome = worstOutcome(fates.map((fate) => fate.outcome));
  const failed = fates.filter((fate) => fate.outcome !== 'confirmed');
  return {
    outcome,
    mayRetry: failed.some(({ mayRetry }) => mayRetry),
    reason: failed.map(({ reason }) => reason).join('; '),
    details: [],
    refused: fates.flatMap((fate, index) => (fate.outcome === 'confirmed' ? [] : [index])),
  };
}

function describeFate(verdict: Verdict, status: number, fields: Fields, location = ''): Fate {
  const [reason = '', ...details] = describeAnswer(status, fields, location);
  const id = verdict.outcome === 'confirmed' ? String(fields['id']) : undefined;
  const hasArrived = id !== undefined && fields['confirmed'] === 'recipient';
  return { ...verdict, isOwn: false, id, hasArrived, reason, details };
}

/** Parses a JSON object; returns an empty one for anything else. */
export function parseObject(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

/** What happened to a message. */
export type Outcome =
  | 'confirmed'
  | 'refused'
  | 'bounced'
  | 'not-permitted'
  | 'wrong-usage'
  | 'unavailable'
  | 'unknown';

/** Exit codes; 75 to 77 are EX_TEMPFAIL, EX_PROTOCOL and EX_NOPERM of sysexits.h. */
export const exitCodes: Readonly<Record<Outcome, number>> = {
  confirmed: 0,
  refused: 1,
  bounced: 1,
  'wrong-usage': exitUsage,
  unavailable: 75,
  unknown: 76,
  'not-permitted': 77,
};

/** The server has processed the message, but no receipt of the recipient's client came in time. */
export const exitNoReceipt = 79;

/** Some of many messages were refused: EX_DATAERR of sysexits.h. */
export const exitSomeRefused = 65;

/** Combines the recipients: the outcome that needs attention most. */
export function worstOutcome(outcomes: readonly Outcome[]): Outcome {
  return worstFirst.find((outcome) => outcomes.includes(outcome)) ?? 'confirmed';
}

/** First those for which it helps to repeat the command, and of them the one that needs the same key. */
const worstFirst: readonly Outcome[] = [
  'unknown',
  'unavailable',
  'wrong-usage',
  'not-permitted',
  'refused',
  'bounced',
];

/** The outcome of one attempt, and whether to repeat the request. */
interface Verdict {
  readonly outcome: Outcome;
  readonly mayRetry: boolean;
}

/** Judges an answer by its status and its members. */
export function judgeAnswer(status: number, fields: Fields): Verdict {
  const { code } = fields;
  if (isReceipt(status, fields)) return final('confirmed');
  // Of the bounces, only 503 asks to try again: resource-constraint, or an error of type wait.
  if (code === 'bounced') return { outcome: 'bounced', mayRetry: status === 503 };
  if (status === 401 || status === 403) return final('not-permitted');
  if (status === 429 || status === 503) return again('unavailable');
  if (status === 504 || code === 'idempotency-in-progress') return again('unknown');
  // A proxy lost its connection to the gateway, or never had one: it does not say which.
  if (status === 502) return again('unknown');
  return final(status >= 500 ? 'unknown' : 'refused');
}

/** Judges the result for one recipient: a receipt or a problem, with its status as a number. */
export function judgeResult(fields: Fields): Verdict {
  const { status, id } = fields;
  if (status === 200 && typeof id === 'string') return final('confirmed');
  return judgeAnswer(Number(status), fields);
}

/** Whether the answer is a gateway's receipt: at a wrong URL, any server may answer 200. */
function isReceipt(status: number, { status: word, id }: Fields): boolean {
  return status === 200 && word === 'success' && typeof id === 'string';
}

/** Judges an attempt without an answer: without a connection, the request cannot have been sent. */
export function judgeFailure({
  wasConnected,
  mayRetry,
}: Pick<PostFailure, 'wasConnected' | 'mayRetry'>): Verdict {
  if (!mayRetry) return final('wrong-usage');
  return again(wasConnected ? 'unknown' : 'unavailable');
}

/** Combines the attempts for a recipient: after an unknown fate, only a definite one is better. */
export function combineOutcomes(outcomes: readonly Outcome[]): Outcome {
  const last = outcomes.at(-1) ?? 'unavailable';
  const isSettled = last === 'confirmed' || last === 'bounced';
  return !isSettled && outcomes.includes('unknown') ? 'unknown' : last;
}

function final(outcome: Outcome): Verdict {
  return { outcome, mayRetry: false };
}

function again(outcome: Outcome): Verdict {
  return { outcome, mayRetry: true };
}
