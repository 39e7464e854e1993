import type { FormValues } from './message-request.ts';

type FieldName = keyof FormValues;

/** The fields as the form calls them. */
const labels: Readonly<Record<FieldName, string>> = {
  account: 'Log in as',
  login: 'User name',
  password: 'Password',
  domain: 'Domain',
  sender: 'Speaks as',
  to: 'To',
  body: 'Text',
  subject: 'Subject',
  type: 'Type',
  id: 'Stanza id',
  extra: 'Extra elements',
  key: 'Idempotency-Key',
};

/** An answer that does not say that all is well, in words. */
export interface Refusal {
  readonly headline: string;
  /** What is wrong in the request as a whole, and what to do; often one sentence. */
  readonly details: readonly string[];
  /** The fields of the form that have to change, each with a short phrase. */
  readonly faults: ReadonlyMap<FieldName, string>;
  /** The code of the problem, which the reference explains. */
  readonly code: string | undefined;
  /** The recipient that was probably meant. */
  readonly meant: string | undefined;
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

/** The field that has to change after a problem that has no pointers, and what to say there. */
const faultsByCode: Readonly<Record<string, readonly [FieldName, string]>> = {
  unauthenticated: ['password', 'Wrong, or of the other kind of account.'],
  'permission-missing': ['login', 'Lacks the permission xmppgateway.'],
  'domain-not-allowed': ['domain', 'Not a domain of this account.'],
  'unknown-domain': ['domain', 'Not a domain of this gateway.'],
  'sender-not-allowed': ['sender', 'Not a sender of this account.'],
  'sender-refused': ['sender', 'Refused by the XMPP server.'],
  'not-found': ['sender', 'This cannot be a user name.'],
  bounced: ['to', 'The message came back.'],
  'idempotency-in-progress': ['key', 'Its first message has no answer yet.'],
  'idempotency-mismatch': ['key', 'Belongs to another message.'],
};

/**
 * Describes an answer that does not say that all is well; `text` is its body, `values` what was asked.
 * The status is 0 for a redirect: a browser hides everything else about it from the page.
 */
export function describeRefusal(
  status: number,
  text: string,
  retryAfter: string | null,
  values: FormValues,
): Refusal {
  const later = retryAfter === null ? [] : [`Try again in ${retryAfter} s.`];
  const problem = parseProblem(text);
  if (problem === undefined) {
    return {
      headline: `${status || 'A redirect'}: this is not an answer of the gateway.`,
      details: ['Something in front of it, such as a proxy, has answered.', ...later],
      faults: new Map(),
      code: undefined,
      meant: undefined,
    };
  }
  const { code, detail = '', errors = [] } = problem;
  const [headline = '', ...details] =
    errors.length === 0 ? describeProblem(problem) : errors.map(describeError);
  const faults = new Map(
    errors.flatMap(({ pointer }) => {
      const field = fieldOf(pointer);
      return field === undefined ? [] : [[field, 'Not valid.'] as const];
    }),
  );
  if (errors.length === 0) markByCode(code, values, faults);
  // The detail of a bounce has words of another server.
  const meant =
    code === 'invalid-message' ? /Did you mean (\S+@\S+)\?/.exec(detail)?.[1] : undefined;
  return { headline, details: [...details, ...later], faults, code, meant };
}

/** The headline and the details of a problem that has no pointers. */
function describeProblem({ code, title, detail = '' }: Problem): string[] {
  switch (code) {
    case 'unauthenticated':
      return [
        'The user name or the password is wrong, or it is an account of the other kind.',
        'A user of the XMPP server has the password of its chat account. For an account of the gateway, such as alerts, it is the password that init printed; gateway.yaml has only its hash.',
      ];
    case 'xmpp-unavailable':
      return [
        'Nothing was sent: the gateway has no working connection to its XMPP server.',
        detail,
      ];
    case 'authentication-unavailable':
      return ['Nothing was sent: the XMPP server could not check the password.', detail];
    default:
      return [title, detail];
  }
}

function fieldOf(pointer: string): FieldName | undefined {
  return fieldsByPointer[pointer.split('/')[1] ?? ''];
}

function describeError({ pointer, detail }: { pointer: string; detail: string }): string {
  const field = fieldOf(pointer);
  return `${field === undefined ? pointer : labels[field]}: ${detail}`;
}

function markByCode(code: string, values: FormValues, faults: Map<FieldName, string>): void {
  const [field, phrase] = faultsByCode[code] ?? [];
  // A key that the page made up is not in the form.
  if (field === undefined || phrase === undefined || (field === 'key' && values.key === '')) return;
  // The sender of a user is the user.
  faults.set(field === 'sender' && values.account === 'user' ? 'login' : field, phrase);
}

/** A proxy in front may answer with anything. */
function parseProblem(text: string): Problem | undefined {
  const { code, title, ...others } = parseObject(text);
  return typeof code === 'string' && typeof title === 'string'
    ? { code, title, ...others }
    : undefined;
}

/** What the page reads of the answers; a member may be missing, or not be what the gateway sends. */
interface Answer extends Partial<Problem> {
  readonly to?: string;
  readonly from?: string;
  readonly confirmed?: string;
  readonly status?: string | number;
  readonly reason?: string;
  readonly degraded?: string;
}

function parseObject(text: string): Answer {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** Whether an answer is the gateway's own to a message that was sent; a proxy's login page is a 200, too. */
export function isReceipt(status: number, text: string): boolean {
  return status === 200 && parseObject(text).status === 'success';
}

/** Whether an answer is the gateway's own to a dry run, by the media type of the stanza. */
export function isPreview(status: number, contentType: string | null): boolean {
  return status === 200 && /^application\/xml *(;|$)/i.test(contentType ?? '');
}

/**
 * Whether the fate of a message is known: the gateway has sent it, or keeps the refusal for its key.
 * After anything else the same key must go with the next try, because an earlier one may have been sent.
 */
export function isDecided(status: number, text: string): boolean {
  const { code } = parseObject(text);
  return (
    isReceipt(status, text) || (status < 500 && (code === 'bounced' || code === 'sender-refused'))
  );
}

const confirmations: Readonly<Record<string, string>> = {
  server: 'The XMPP server has processed the message, and no error has come back.',
  remote: 'The XMPP server of the recipient has the message, and no error has come back.',
  recipient: 'A chat client of the recipient has the message.',
};

/** Says who has a message that was sent; `text` is the receipt, `time` the time of day. */
export function describeReceipt(
  text: string,
  time: string,
): { readonly headline: string; readonly details: readonly string[] } {
  const { to, from, confirmed } = parseObject(text);
  // The gateway's own resource means nothing to people.
  const sender = String(from).replace(/\/.*/s, '');
  const words = confirmations[String(confirmed)];
  return {
    headline: `✓ Sent to ${to}, as ${sender}, ${time}`,
    details: words === undefined ? [] : [words],
  };
}

/** Why there was no answer, in words. */
export function describeSilence(error: unknown, seconds: number, isDryRun: boolean): string {
  const fate = isDryRun
    ? ''
    : ' The message may have been sent. Sent again unchanged, it does not arrive twice, unless the gateway has forgotten it.';
  return error instanceof DOMException && error.name === 'TimeoutError'
    ? `The gateway has not answered within ${seconds} seconds.${fate}`
    : `${unreachable}${fate}`;
}

/** What to say when there is no answer at all. */
export const unreachable =
  'The gateway cannot be reached: it is not running, or the network is down.';

/** Whether messages can be sent, from the answer of `readyz`. */
export interface State {
  readonly state: 'ready' | 'degraded' | 'unavailable';
  /** In one or two words. */
  readonly label: string;
  /** What that means for somebody who wants to send; empty if all is well. */
  readonly summary: string;
  /** In the words of the gateway, for its operator. */
  readonly reason: string;
}

/** Reads the answer of `readyz`. */
export function readState(status: number, text: string): State {
  const { status: named, reason = '', degraded = '' } = parseObject(text);
  if (named === 'ready') {
    return degraded === ''
      ? { state: 'ready', label: 'Ready', summary: '', reason: '' }
      : {
          state: 'degraded',
          label: 'Ready',
          summary: 'Messages can be sent, but something needs an operator.',
          reason: degraded,
        };
  }
  const summary =
    named === 'unavailable'
      ? 'The gateway has no working connection to its XMPP server. Nothing can be sent until that is fixed. Accounts of the gateway can still preview. This page looks again every 10 s.'
      : `Something in front of the gateway has answered ${status}.`;
  return { state: 'unavailable', label: 'Not ready', summary, reason };
}
