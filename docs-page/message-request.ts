/** What was filled in. */
export interface FormValues {
  readonly account: 'user' | 'api';
  readonly login: string;
  readonly password: string;
  readonly domain: string;
  /** Localpart of the user that an API account sends as. */
  readonly sender: string;
  readonly to: string;
  readonly body: string;
  readonly subject: string;
  /** Empty: the gateway takes groupchat for a room, otherwise chat. */
  readonly type: string;
  readonly id: string;
  readonly extra: string;
  readonly key: string;
}

/** The fields of a message as JSON. */
export type Message = Readonly<Record<string, string>>;

/** The message that was filled in; what was left empty is left out. */
export function buildMessage({ to, body, subject, type, id, extra }: FormValues): Message {
  const fields = { to, body, subject, type, id, extra_elements: extra };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}

/** The localpart of a sender that was filled in with its domain. */
export function cutDomain(sender: string, domain: string): string {
  const end = `@${domain}`.toLowerCase();
  return sender.toLowerCase().endsWith(end) ? sender.slice(0, -end.length) : sender;
}

/** The path of the message URL, relative to that of the gateway. */
export function buildPath(
  { account, domain, sender }: FormValues,
  encode: (segment: string) => string = encodeURIComponent,
): string {
  const user = account === 'api' ? `/${encode(sender)}` : '';
  return `api/1.0/xmppdomains/${encode(domain)}/gateway/messages${user}`;
}

/** The headers of the request, without the credentials. */
export function buildHeaders(contentType: string, { key }: FormValues): Record<string, string> {
  return { 'Content-Type': contentType, ...(key === '' ? {} : { 'Idempotency-Key': key }) };
}

/** RFC 7617 §2, in UTF-8. */
export function buildAuthorization(login: string, password: string): string {
  const bytes = new TextEncoder().encode(`${login}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

/** Fields of the form that must not be empty, with what to say about those that are. */
export function findGaps(values: FormValues): Partial<Record<keyof FormValues, string>> {
  const gaps: Partial<Record<keyof FormValues, string>> = {};
  const demand = (name: keyof FormValues, detail: string): void => {
    if (values[name] === '') gaps[name] = detail;
  };
  demand('login', 'Fill in the user name.');
  demand('password', 'Fill in the password.');
  demand('domain', 'Fill in the domain of the sender, such as example.org.');
  if (values.account === 'api') demand('sender', 'Fill in the user that the account speaks as.');
  demand('to', 'Fill in the address of the recipient, such as bob@example.org.');
  if (values.subject === '' && values.extra === '') demand('body', 'Fill in the text.');
  return gaps;
}
