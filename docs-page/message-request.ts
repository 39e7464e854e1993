/** What was filled in. */
export interface FormValues {
  readonly account: 'user' | 'api';
  readonly login: string;
  readonly password: string;
  readonly domain: string;
  /** Localpart of whom an API account speaks as. */
  readonly sender: string;
  readonly to: string;
  readonly type: string;
  readonly body: string;
  readonly id: string;
  readonly extra: string;
  readonly key: string;
}

/** A request to a message URL, but for its credentials. */
export interface MessageRequest {
  /** From the root of the server. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The request that sends what was filled in; what was left empty is left out. */
export function buildRequest(values: FormValues): MessageRequest {
  const { account, domain, sender, to, type, body, id, extra, key } = values;
  const user = account === 'api' ? `/${encodeURIComponent(sender)}` : '';
  const attributes = {
    ...(id === '' ? {} : { id }),
    ...(type === 'chat' ? {} : { type }),
  };
  const message = {
    to,
    ...(body === '' ? {} : { body }),
    ...(Object.keys(attributes).length === 0 ? {} : { message_attributes: attributes }),
    ...(extra === '' ? {} : { extra_elements: extra }),
  };
  return {
    path: `/api/1.0/xmppdomains/${encodeURIComponent(domain)}/gateway/messages${user}`,
    headers: {
      'Content-Type': 'application/json',
      ...(key === '' ? {} : { 'Idempotency-Key': key }),
    },
    body: JSON.stringify(message),
  };
}

/** RFC 7617 §2, in UTF-8. */
export function buildAuthorization(login: string, password: string): string {
  const bytes = new TextEncoder().encode(`${login}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

/** The command line that sends the request to a server; curl asks for the password. */
export function buildCurlLine(
  { path, headers, body }: MessageRequest,
  origin: string,
  login: string,
): string {
  const fields = Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  const options = [`-u ${quote(login)}`, ...fields].join(' ');
  return `curl ${options} \\\n  -d ${quote(body)} \\\n  ${quote(origin + path)}`;
}

/** A word of a POSIX shell. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
