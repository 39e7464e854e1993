import { type Jid, JidError, parseJid, parseLocalpart } from '../../core/jid/jid.ts';
import { UsageError } from '../command.ts';

/** What to send, and as whom. */
export interface SendOptions {
  /** Of the gateway: scheme, host and port, and a path where a proxy has put it below one. */
  readonly url: string;
  /** User of HTTP Basic: an API account if there is `from`, else an XMPP user. */
  readonly user: string;
  /** Bare JID or localpart that the API account speaks as. */
  readonly from: string | undefined;
  /** Of the sender, where neither `from` nor `user` has it. */
  readonly domain: string | undefined;
  readonly to: string;
  readonly type: string | undefined;
  readonly subject: string | undefined;
  readonly id: string | undefined;
  readonly text: string;
}

/** A POST to one of the message URLs, without its credentials. */
export interface SendRequest {
  readonly url: string;
  /** JSON */
  readonly body: string;
}

/** Builds the request; throws UsageError. */
export function buildSendRequest(options: SendOptions): SendRequest {
  const base = parseBase(options.url);
  const { local, domain } = senderOf(options);
  const user = options.from === undefined ? '' : `/${encodeURIComponent(local)}`;
  const path = `/api/1.0/xmppdomains/${encodeURIComponent(domain)}/gateway/messages${user}`;
  return { url: base + path, body: JSON.stringify(buildMessage(options)) };
}

function parseBase(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username + url.password + url.search + url.hash === '';
  if (!isPlain || !/^https?:$/.test(url.protocol)) {
    const expected = 'http://HOST:PORT or https://HOST:PORT, without credentials';
    throw new UsageError(`expected --url ${expected}, got something else`);
  }
  return url.href.replace(/\/+$/, '');
}

function senderOf({ from, user, domain }: SendOptions): { local: string; domain: string } {
  const [name, option] = from === undefined ? [user, '--user'] : [from, '--from'];
  const own = name.includes('@') ? readBareJid(name, option) : undefined;
  // An API account's name may hold an at-sign and be no JID at all.
  const other = from !== undefined && user.includes('@') ? user.replace(/^.*@/s, '') : undefined;
  const found = own?.domain ?? domain ?? other;
  if (found === undefined) {
    throw new UsageError(`expected a JID as ${option}, or --domain, got neither`);
  }
  if (own !== undefined && domain !== undefined && domain.toLowerCase() !== own.domain) {
    throw new UsageError(`expected one domain, got ${own.domain} in ${option} and --domain`);
  }
  return {
    local: own?.local ?? orUsageError(option, () => parseLocalpart(name)),
    domain: found,
  };
}

function readBareJid(text: string, option: string): { local: string; domain: string } {
  const { local, domain, resource }: Jid = orUsageError(option, () => parseJid(text));
  if (local === undefined || resource !== undefined) {
    throw new UsageError(`expected a bare JID as ${option}, got ${JSON.stringify(text)}`);
  }
  return { local, domain };
}

function orUsageError<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof JidError ? new UsageError(`${option}: ${error.message}`) : error;
  }
}

function buildMessage({ to, type, subject, id, text }: SendOptions): object {
  const attributes = { type, id };
  return {
    to,
    body: text,
    ...(Object.values(attributes).some((value) => value !== undefined)
      ? { message_attributes: attributes }
      : {}),
    ...(subject === undefined
      ? {}
      : { extra_elements: `<subject>${escapeXml(subject)}</subject>` }),
  };
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
