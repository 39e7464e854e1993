import type { FormValues } from './message-request.ts';

type FieldName = keyof FormValues;

/** An answer other than 200, in words. */
export interface Refusal {
  readonly headline: string;
  /** What is wrong in the request as a whole, and what to do; often one sentence. */
  readonly details: readonly string[];
  /** What is wrong in a field of the form. */
  readonly faults: ReadonlyMap<FieldName, string>;
  /** The code of the problem, which the gateway explains at `problems/CODE`. */
  readonly code: string | undefined;
}

/** What the page reads of a problem (RFC 9457). */
interface Problem {
  readonly title: string;
  readonly code: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

/** The field that the first part of a pointer means. */
const fieldsByPointer: Readonly<Record<string, FieldName>> = {
  to: 'to',
  body: 'body',
  subject: 'subject',
  type: 'type',
  id: 'id',
  extra_elements: 'extra',
};

/** The field that has to change after a problem that has no pointers. */
const fieldsByCode: Readonly<Record<string, FieldName>> = {
  unauthenticated: 'password',
  'permission-missing': 'login',
  'domain-not-allowed': 'domain',
  'unknown-domain': 'domain',
  'sender-not-allowed': 'sender',
  'sender-refused': 'sender',
  'not-found': 'sender',
  bounced: 'to',
  'idempotency-in-progress': 'key',
  'idempotency-mismatch': 'key',
};

/** Describes an answer other than 200; `text` is its body. */
export function describeRefusal(
  status: number,
  text: string,
  retryAfter: string | null,
  account: FormValues['account'],
): Refusal {
  const later = retryAfter === null ? [] : [`Try again in ${retryAfter} s.`];
  const problem = parseProblem(text);
  if (problem === undefined) {
    return {
      headline: `${status}: this is not an answer of the gateway.`,
      details: ['Something in front of it, such as a proxy, has answered.', ...later],
      faults: new Map(),
      code: undefined,
    };
  }
  const { title, code, detail = '', errors = [] } = problem;
  const faults = new Map<FieldName, string>();
  const elsewhere: string[] = [];
  for (const error of errors) {
    const field = fieldsByPointer[error.pointer.split('/')[1] ?? ''];
    if (field === undefined) elsewhere.push(`${error.pointer}: ${error.detail}`);
    else faults.set(field, [faults.get(field), error.detail].filter(Boolean).join(' '));
  }
  const meant = errors.length === 0 ? fieldsByCode[code] : undefined;
  // The sender of a user is the user.
  const field = meant === 'sender' && account === 'user' ? 'login' : meant;
  // What is wrong with credentials takes more words than a field has room for.
  if (field !== undefined) faults.set(field, code === 'unauthenticated' ? title : detail);
  // `detail` has the first fault.
  const others = errors.length > 1 ? elsewhere : [];
  const details = [detail, ...others, ...later];
  return { headline: `${status}: ${title}`, details, faults, code };
}

/** A proxy in front may answer with anything. */
function parseProblem(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value?.code === 'string' && typeof value.title === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Why there was no answer, in words. */
export function describeSilence(error: unknown, seconds: number, isDryRun: boolean): string {
  const fate = isDryRun ? '' : ' The message may have been sent.';
  return error instanceof DOMException && error.name === 'TimeoutError'
    ? `The gateway has not answered within ${seconds} seconds.${fate}`
    : `The gateway cannot be reached: it is not running, or the network is down.${fate}`;
}

/** Whether messages can be sent, from the answer of `readyz`. */
export interface State {
  readonly state: 'ready' | 'degraded' | 'unavailable';
  /** In one or two words. */
  readonly label: string;
  /** Why not, if so. */
  readonly reason: string;
  readonly domains: readonly string[];
}

/** Reads the answer of `readyz`. */
export function readState(status: number, text: string): State {
  const value = parseReadyz(text);
  const domains = Object.keys(value.domains ?? {});
  if (value.status === 'ready') {
    const reason = value.degraded ?? '';
    return { state: reason === '' ? 'ready' : 'degraded', label: 'Ready', reason, domains };
  }
  const reason =
    value.status === 'unavailable'
      ? `${value.reason ?? 'The reason is not known'}. Meanwhile messages are refused with 503; API accounts can preview them.`
      : `Something in front of the gateway has answered ${status}.`;
  return { state: 'unavailable', label: 'Not ready', reason, domains };
}

interface Readyz {
  readonly status?: string;
  readonly reason?: string;
  readonly degraded?: string;
  readonly domains?: object;
}

function parseReadyz(text: string): Readyz {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
