import { type PostAnswer, PostFailure, post } from './post.ts';
import type { SendRequest } from './request.ts';
import { judgeAnswer, judgeFailure, type Verdict } from './verdict.ts';

/** One try: its verdict, and what to tell about it. */
export interface Attempt extends Verdict {
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
): Promise<Attempt> {
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

function readAnswer({ status, retryAfter, text }: PostAnswer): Attempt {
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
