import { isRecord } from '../../core/json.ts';
import { isGatewayUrl } from './request.ts';

/** The members of an answer. */
export type Fields = Readonly<Record<string, unknown>>;

/** Describes an answer for people, in one or several lines; `location` is where a redirect leads, or ''. */
export function describeAnswer(status: number, fields: Fields, location: string): string[] {
  const isAccepted = status === 200 || status === 207;
  // Also the answers of a gateway without a code, to what is hardly HTTP, have a title.
  const isProblem =
    !isAccepted && textsOf([fields['code'], fields['title'], fields['detail']]).length > 0;
  const lines = isProblem ? describeProblem(status, fields) : [describeStranger(status, location)];
  return lines.map((line) => line.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd'));
}

/** Describes an answer that is not from a gateway. */
function describeStranger(status: number, location: string): string {
  if (location !== '' && status >= 300 && status < 400) {
    // `send` adds the path of the messages itself.
    const target = location.replace(/\/api\/1\.0\/xmppdomains\/.*/s, '/');
    const end = isGatewayUrl(target) ? 'give that URL' : 'check the URL';
    return `${status}: redirected to ${target}: ${end}`;
  }
  // A proxy says so of its own: too large, too many, out of reach.
  return status === 413 || status === 429 || status >= 500
    ? `${status}, but the answer is not from a gateway, perhaps from a proxy: see its log`
    : `${status}, but the answer is not from a gateway: check the URL`;
}

const kindsOfUser =
  'An API account needs --from (or from in the file); an XMPP user must not have it.';

/** The gateway's sentence names the place of the sender in the URL. */
const whereSenderIs = 'The sender is --from (or from in the file), or else --user.';

/** Describes a problem (RFC 9457) with the members that the gateway adds. */
function describeProblem(status: number, fields: Fields): string[] {
  const { code, title, detail, errors, condition, text, instance } = fields;
  const head = textsOf([String(status), code]).join(' ');
  const [sentence = ''] = textsOf([detail, title]);
  // The gateway's sentence usually contains the condition already.
  const rest = textsOf([condition, text]).filter((word) => !sentence.includes(word));
  const words = [sentence, ...rest].filter((word) => word !== '').join(' – ');
  const faults: unknown[] = Array.isArray(errors) ? errors : [];
  // A single fault is the sentence already.
  const places = faults.map(describeFault).filter((place) => !sentence.includes(place));
  return [
    ...(words === '' ? [head] : [`${head}: ${words}`]),
    ...places.map((place) => `  ${place}`),
    ...(code === 'unauthenticated' ? [`  ${kindsOfUser}`] : []),
    ...(code === 'sender-refused' ? [`  ${whereSenderIs}`] : []),
    ...(status >= 500 ? textsOf([instance]).map((id) => `  ${id}`) : []),
  ];
}

function describeFault(fault: unknown): string {
  if (!isRecord(fault)) return String(fault);
  const { pointer, detail } = fault;
  return textsOf([pointer === '' ? 'the whole body' : pointer, detail]).join(': ');
}

function textsOf(values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === 'string');
}
