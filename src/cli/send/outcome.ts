import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { describeError } from '../../core/text.ts';
import type { SendRequest } from './request.ts';

/** One try: its verdict, and what to tell about it. */
export interface SendAttempt extends Verdict {
  /** The body of the answer; undefined without one. */
  readonly answer: string | undefined;
  /** The answer, if it is a JSON object. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** A sentence for people. */
  readonly reason: string;
  /** Further lines. */
  readonly details: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/** Posts once; whatever goes wrong is in the result. */
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
      ? ['200, but not from a gateway: look at --url']
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

/** RFC 9457, with the members that the gateway adds. */
function describeProblem(status: number, fields: Readonly<Record<string, unknown>>): string[] {
  const { code, title, detail, errors, condition, text, instance } = fields;
  const head = textsOf([String(status), code]).join(' ');
  const [sentence = ''] = textsOf([detail, title]);
  // The gateway's sentence names the condition already.
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
  if (typeof fault !== 'object' || fault === null) return String(fault);
  const { pointer, detail }: Record<string, unknown> = { ...fault };
  return textsOf([pointer === '' ? 'the whole body' : pointer, detail]).join(': ');
}

function textsOf(values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === 'string');
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** What came back. */
interface PostAnswer {
  readonly status: number;
  /** The header's value; empty without one. */
  readonly retryAfter: string;
  readonly text: string;
}

/** No answer came; the message says why. */
class PostFailure extends Error {
  override readonly name = 'PostFailure';
  /** Whether the request may have gone out. */
  readonly wasConnected: boolean;

  constructor(cause: unknown, wasConnected: boolean) {
    super(describeError(cause), { cause });
    this.wasConnected = wasConnected;
  }
}

/** More than the gateway ever answers. */
const maxAnswerBytes = 1_048_576;

/** Posts JSON on a connection of its own and reads the answer; rejects with PostFailure. */
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
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxAnswerBytes) throw new Error(`more than ${maxAnswerBytes} bytes`);
    chunks.push(bytes);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'] ?? '',
    text: Buffer.concat(chunks).toString('utf8'),
  };
}

/** What became of a message. */
export type Outcome =
  | 'confirmed'
  | 'refused'
  | 'bounced'
  | 'not-permitted'
  | 'unavailable'
  | 'unknown';

/** Exit codes, as far as there are any those of sysexits.h. */
export const exitCodes: Readonly<Record<Outcome, number>> = {
  confirmed: 0,
  refused: 1,
  bounced: 1,
  unavailable: 75,
  unknown: 76,
  'not-permitted': 77,
};

/** How one try ended, and whether the same request may be sent again. */
interface Verdict {
  readonly outcome: Outcome;
  readonly mayRetry: boolean;
}

/** Judges an answer by its status and the members of the JSON object that it is, if it is one. */
export function judgeAnswer(status: number, fields: Readonly<Record<string, unknown>>): Verdict {
  const { code } = fields;
  if (isReceipt(status, fields)) return final('confirmed');
  // Once more is what the server asks for only with 503: resource-constraint, or a wait.
  if (code === 'bounced') return { outcome: 'bounced', mayRetry: status === 503 };
  if (status === 401 || status === 403) return final('not-permitted');
  if (status === 429 || status === 503) return again('unavailable');
  if (status === 504 || code === 'idempotency-in-progress') return again('unknown');
  // A proxy lost the gateway while it was answering, or never had it.
  if (status === 502) return again('unknown');
  return final(status >= 500 ? 'unknown' : 'refused');
}

/** Whether it is the gateway that says so: anything may answer 200 at an address that is not right. */
function isReceipt(
  status: number,
  { status: word, id }: Readonly<Record<string, unknown>>,
): boolean {
  return status === 200 && word === 'success' && typeof id === 'string';
}

/** Judges a try without an answer: the request goes out only when there is a connection. */
export function judgeFailure(wasConnected: boolean): Verdict {
  return again(wasConnected ? 'unknown' : 'unavailable');
}

/** The outcome of several tries: what may have been sent once stays so until it is known. */
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
