import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isRecord } from '../../core/json.ts';
import { describeError } from '../../core/text.ts';
import type { SendRequest } from './request.ts';

/** The result of one attempt. */
export interface SendAttempt extends Verdict {
  /** The body of the answer; undefined if none came. */
  readonly answer: string | undefined;
  /** The members of the answer, if it is a JSON object. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** What happened, as a sentence for people. */
  readonly reason: string;
  /** Further lines for people. */
  readonly details: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/** Makes one attempt; the result includes network errors. */
export async function attemptPost(
  { url, body }: SendRequest,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<SendAttempt> {
  try {
    return readAnswer(await post(url, headers, body, timeoutMs));
  } catch (error) {
    if (!(error instanceof PostFailure)) throw error;
    const verdict = judgeFailure(error.wasConnected);
    const reason = `no answer from ${new URL(url).origin}: ${error.message}`;
    const nothing = { answer: undefined, fields: {}, details: [], retryAfterMs: undefined };
    return { ...verdict, ...nothing, reason };
  }
}

function readAnswer({ status, retryAfter, text }: PostAnswer): SendAttempt {
  const fields = parseObject(text);
  const [reason = '', ...details] =
    status === 200
      ? ['200, but the answer is not from a gateway: check --url']
      : describeProblem(status, fields);
  return {
    ...judgeAnswer(status, fields),
    answer: text,
    fields,
    reason,
    details,
    retryAfterMs: /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined,
  };
}

/** Describes a problem (RFC 9457) with the members that the gateway adds. */
function describeProblem(status: number, fields: Readonly<Record<string, unknown>>): string[] {
  const { code, title, detail, errors, condition, text, instance } = fields;
  const head = textsOf([String(status), code]).join(' ');
  const [sentence = ''] = textsOf([detail, title]);
  // The gateway's sentence usually contains the condition already.
  const rest = textsOf([condition, text]).filter((word) => !sentence.includes(word));
  const words = [sentence, ...rest].filter((word) => word !== '').join(' – ');
  const faults: unknown[] = Array.isArray(errors) ? errors : [];
  return [
    ...(words === '' ? [head] : [`${head}: ${words}`]),
    ...faults.map((fault) => `  ${describeFault(fault)}`),
    ...(status >= 500 ? textsOf([instance]).map((id) => `  ${id}`) : []),
  ].map((line) => line.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd'));
}

function describeFault(fault: unknown): string {
  if (!isRecord(fault)) return String(fault);
  const { pointer, detail } = fault;
  return textsOf([pointer === '' ? 'the whole body' : pointer, detail]).join(': ');
}

function textsOf(values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === 'string');
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

/** The answer to a POST. */
interface PostAnswer {
  readonly status: number;
  /** The value of Retry-After, or ''. */
  readonly retryAfter: string;
  readonly text: string;
}

/** There was no answer; the message says why. */
class PostFailure extends Error {
  override readonly name = 'PostFailure';
  /** Whether the request may have been sent. */
  readonly wasConnected: boolean;

  constructor(cause: unknown, wasConnected: boolean) {
    super(describeError(cause), { cause });
    this.wasConnected = wasConnected;
  }
}

/** The gateway's answers are much smaller. */
const maxAnswerBytes = 1_048_576;

/**
 * Posts JSON on a new connection and reads the answer; rejects with PostFailure. It does not use `fetch`,
 * which does not tell whether a request that timed out had a connection: only then may it have been sent.
 */
function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  timeoutMs: number,
): Promise<PostAnswer> {
  return new Promise((resolve, reject) => {
    let wasConnected = false;
    const fail = (error: unknown): void => reject(new PostFailure(error, wasConnected));
    const outgoing = open(url, headers);
    const deadline = setTimeout(() => {
      outgoing.destroy(new Error(`none within ${Math.ceil(timeoutMs / 1000)} s`));
    }, timeoutMs);
    outgoing.once('close', () => clearTimeout(deadline));
    outgoing.once('socket', (socket) => {
      socket.once(url.startsWith('https:') ? 'secureConnect' : 'connect', () => {
        wasConnected = true;
      });
    });
    outgoing.once('error', fail);
    outgoing.once('response', (response) => {
      collectAnswer(response).then(resolve, fail);
    });
    outgoing.end(body);
  });
}

function open(url: string, headers: Readonly<Record<string, string>>): ClientRequest {
  const options = {
    method: 'POST',
    agent: false,
    headers: { ...headers, 'Content-Type': 'application/json' },
  };
  return url.startsWith('https:') ? requestHttps(url, options) : requestHttp(url, options);
}

async function collectAnswer(response: IncomingMessage): Promise<PostAnswer> {
  const body = await readAtMost(response, maxAnswerBytes);
  if (body === undefined) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'] ?? '',
    text: body.toString('utf8'),
  };
}

/** Reads a stream to its end; resolves with undefined if it has more than `maxBytes`. */
export async function readAtMost(
  stream: AsyncIterable<string | Buffer>,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxBytes) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** What happened to a message. */
export type Outcome =
  | 'confirmed'
  | 'refused'
  | 'bounced'
  | 'not-permitted'
  | 'unavailable'
  | 'unknown';

/** Exit codes; 75 to 77 are EX_TEMPFAIL, EX_PROTOCOL and EX_NOPERM of sysexits.h. */
export const exitCodes: Readonly<Record<Outcome, number>> = {
  confirmed: 0,
  refused: 1,
  bounced: 1,
  unavailable: 75,
  unknown: 76,
  'not-permitted': 77,
};

/** The outcome of one attempt, and whether to repeat the request. */
interface Verdict {
  readonly outcome: Outcome;
  readonly mayRetry: boolean;
}

/** Judges an answer by its status and its members. */
export function judgeAnswer(status: number, fields: Readonly<Record<string, unknown>>): Verdict {
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

/** Whether the answer is a gateway's receipt: at a wrong URL, any server may answer 200. */
function isReceipt(
  status: number,
  { status: word, id }: Readonly<Record<string, unknown>>,
): boolean {
  return status === 200 && word === 'success' && typeof id === 'string';
}

/** Judges an attempt without an answer: without a connection, the request cannot have been sent. */
export function judgeFailure(wasConnected: boolean): Verdict {
  return again(wasConnected ? 'unknown' : 'unavailable');
}

/** Combines attempts: after one whose fate is unknown, only a definite fate is better. */
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
