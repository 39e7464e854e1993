import type { HttpAnswer } from '../support/clients/http.ts';
import type { FuzzRequest } from './requests.ts';

/** A message that the gateway claims to have sent. */
export interface Accepted {
  readonly id: string;
  readonly from: string;
  readonly to: string;
}

/** The judgement of an answer; without messages and without a fault it is a proper refusal. */
export interface Judgement {
  readonly accepted: readonly Accepted[];
  readonly fault?: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Codes that mean a closed stream, or a gateway that does not keep up. */
const badCodes = [
  'internal',
  'xmpp-unavailable',
  'authentication-unavailable',
  'overloaded',
  'delivery-unknown',
  'too-many-requests',
];

function toMembers(value: unknown): Members | undefined {
  return typeof value === 'object' && value !== null ? { ...value } : undefined;
}

function parse(body: string): Members | undefined {
  try {
    return toMembers(JSON.parse(body));
  } catch {
    return undefined;
  }
}

function fault(text: string): Judgement {
  return { accepted: [], fault: text };
}

/** Judges an answer by itself. */
export function judge(request: FuzzRequest, answer: HttpAnswer): Judgement {
  const { sender, bytes } = request;
  const { status, body } = answer;
  const head = bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n') + 2);
  if (head.startsWith('HEAD ')) return { accepted: [] };
  const members = parse(body);
  if (status !== 200 && status !== 207) return judgeRefusal(answer, members);
  if (isFromForeignPage(head)) return fault(`${status} for a foreign page: ${body}`);
  if (members?.['results'] !== undefined) return judgeList(sender, status, members);
  if (status === 207) return fault(`207 without results: ${body}`);
  if (members?.['status'] === 'success') return judgeReceipt(sender, members);
  // A changed path may lead to other routes, such as /readyz.
  return sender === undefined || isPreview(head, answer)
    ? { accepted: [] }
    : fault(`200 with ${body}`);
}

function isFromForeignPage(head: string): boolean {
  return (
    /\r\nContent-Type: (?:application\/x-www-form-urlencoded|text\/plain)\b/i.test(head) &&
    /\r\n(?:Sec-Fetch-Site: (?:cross|same)-site|Origin: (?:http:\/\/evil\.example|null))\r\n/.test(
      head,
    )
  );
}

function isPreview(head: string, { headers, body }: HttpAnswer): boolean {
  return (
    /^\S+ \S*[?&]dry_run=true[& ]/.test(head) &&
    String(headers['content-type']).startsWith('application/xml') &&
    body.startsWith('<message ')
  );
}

function judgeReceipt(sender: string | undefined, { id, from, to }: Members): Judgement {
  // In client mode the sender has a resource of the gateway's.
  const [, bare] = /^([^@/]+@example\.org)(?:\/http-[\w-]{12})?$/.exec(String(from)) ?? [];
  if (bare === undefined || (sender !== undefined && bare !== sender)) {
    return fault(`sent from ${String(from)}, expected ${sender ?? 'somebody@example.org'}`);
  }
  return { accepted: [{ id: String(id), from: String(from), to: String(to) }] };
}

function judgeRefusal({ status, body }: HttpAnswer, members: Members | undefined): Judgement {
  // The gateway refuses broken HTTP with a bare problem, Node.js without a body.
  const isBare = body === '' || members?.['type'] === 'about:blank';
  if (status >= 400 && status < 500 && isBare) return { accepted: [] };
  return judgeProblem(status, members, body);
}

function judgeProblem(status: number, members: Members | undefined, body: string): Judgement {
  const code = members?.['code'];
  if (typeof code !== 'string') return fault(`${status} without a code: ${body.slice(0, 300)}`);
  if (status === 500 || badCodes.includes(code)) return fault(`${status} ${code}: ${body}`);
  return { accepted: [] };
}

/** Judges each result as an answer to one message, and whether they fit together. */
function judgeList(sender: string | undefined, status: number, members: Members): Judgement {
  const text = JSON.stringify(members);
  const { results } = members;
  if (!Array.isArray(results) || results.length < 1 || results.length > 100) {
    return fault(`expected 1 to 100 results: ${text.slice(0, 300)}`);
  }
  const judged = results.map((result) => judgeResult(sender, toMembers(result)));
  const accepted = judged.flatMap((judgement) => judgement.accepted);
  const firstFault = judged.find((judgement) => judgement.fault !== undefined)?.fault;
  if (firstFault !== undefined) return { accepted, fault: `in a list: ${firstFault}` };
  const isComplete = accepted.length === results.length;
  if (
    isComplete !== (status === 200) ||
    members['status'] !== (isComplete ? 'success' : 'partial')
  ) {
    return { accepted, fault: `${status} with ${accepted.length} accepted: ${text}` };
  }
  if (new Set(results.map(({ to }) => to)).size < results.length) {
    return { accepted, fault: `a recipient has two results: ${text}` };
  }
  // Either the caller gave the id, or each message has its own.
  const ids = new Set(accepted.map(({ id }) => id)).size;
  return ids > 1 && ids < accepted.length
    ? { accepted, fault: `some ids are the same: ${text}` }
    : { accepted };
}

function judgeResult(sender: string | undefined, result: Members | undefined): Judgement {
  const { status, to } = result ?? {};
  if (result === undefined || typeof status !== 'number' || typeof to !== 'string') {
    return fault(`a result without status and recipient: ${JSON.stringify(result)}`);
  }
  return status === 200
    ? judgeReceipt(sender, result)
    : judgeProblem(status, result, JSON.stringify(result));
}
