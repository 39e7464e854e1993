import { type Jid, JidError, parseJid, parseLocalpart } from '../../core/jid/jid.ts';
import { escapeText } from '../../core/xml/serialize.ts';
import { parseOption, UsageError } from '../command.ts';

/** The message, its sender and the gateway. */
export interface SendOptions {
  /** The gateway's URL: scheme, host and port, with a path if a proxy serves the gateway below one. */
  readonly url: string;
  /** The user name for HTTP Basic: an API account's if there is a `from`, otherwise an XMPP user's. */
  readonly user: string;
  /** The sender for an API account: a bare JID, or a localpart. */
  readonly from: string | undefined;
  /** The sender's domain, if neither `from` nor `user` contains it. */
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

/** Builds the request for a message; throws UsageError. */
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
  // The name of an API account may contain an at-sign without being a JID.
  const other = from !== undefined && user.includes('@') ? user.replace(/^.*@/s, '') : undefined;
  const found = own?.domain ?? domain ?? other;
  if (found === undefined) {
    throw new UsageError(`expected a JID as ${option}, or --domain, got neither`);
  }
  if (own !== undefined && domain !== undefined && domain.toLowerCase() !== own.domain) {
    throw new UsageError(`expected one domain, got ${own.domain} in ${option} and --domain`);
  }
  return {
    local: own?.local ?? parseOption(option, () => parseLocalpart(name), isJidError),
    domain: found,
  };
}

function readBareJid(text: string, option: string): { local: string; domain: string } {
  const { local, domain, resource }: Jid = parseOption(option, () => parseJid(text), isJidError);
  if (local === undefined || resource !== undefined) {
    throw new UsageError(`expected a bare JID as ${option}, got ${JSON.stringify(text)}`);
  }
  return { local, domain };
}

function isJidError(error: unknown): error is JidError {
  return error instanceof JidError;
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
      : { extra_elements: `<subject>${escapeText(subject)}</subject>` }),
  };
}
