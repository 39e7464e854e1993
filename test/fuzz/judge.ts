import type { HttpAnswer } from '../support/clients/http.ts';
import type { FuzzRequest } from './requests.ts';

/** A message that the gateway claims to have sent. */
export interface Accepted {
  readonly id: string;
  readonly from: string;
}

/** The judgement of an answer: accepted, at fault, or neither: a proper refusal. */
export interface Judgement {
  readonly accepted?: Accepted;
  readonly fault?: string;
}

/** Codes that mean a closed stream, or a gateway that does not keep up. */
const badCodes = [
  'internal',
  'xmpp-unavailable',
  'authentication-unavailable',
  'overloaded',
  'delivery-unknown',
  'too-many-requests',
];

function parse(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Judges an answer by itself. */
export function judge({ sender, bytes }: FuzzRequest, { status, body }: HttpAnswer): Judgement {
  if (bytes.subarray(0, 5).toString('latin1') === 'HEAD ') return {};
  const members = parse(body);
  if (status === 200) {
    const { status: said, id, from } = members ?? {};
    // A changed path may lead to other routes, such as /readyz.
    if (said !== 'success') return sender === undefined ? {} : { fault: `200 with ${body}` };
    // In client mode the sender has a resource of the gateway's.
    const [, bare] = /^([^@/]+@example\.org)(?:\/http-[\w-]{12})?$/.exec(String(from)) ?? [];
    if (bare === undefined || (sender !== undefined && bare !== sender)) {
      return { fault: `sent from ${String(from)}, expected ${sender ?? 'somebody@example.org'}` };
    }
    return { accepted: { id: String(id), from: String(from) } };
  }
  // The gateway refuses broken HTTP with a bare problem, Node.js without a body.
  if (status >= 400 && status < 500 && (body === '' || members?.['type'] === 'about:blank'))
    return {};
  const code = members?.['code'];
  if (typeof code !== 'string') return { fault: `${status} without a code: ${body.slice(0, 300)}` };
  if (status === 500 || badCodes.includes(code)) return { fault: `${status} ${code}: ${body}` };
  return {};
}
