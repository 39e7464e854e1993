import { type Jid, JidError, parseJid, parseLocalpart } from '../../core/jid/jid.ts';
import { parseOption, UsageError } from '../command.ts';

/** A sender and the gateway. */
export interface Sender {
  /** The gateway's URL, as `isGatewayUrl` allows it: scheme, host and port, with a path if a proxy serves the gateway below one. */
  readonly url: string;
  /** The user name for HTTP Basic: an API account's if there is a `from`, otherwise an XMPP user's. */
  readonly user: string;
  /** The sender for an API account: a bare JID, or a localpart. */
  readonly from: string | undefined;
  /** The sender's domain, if neither `from` nor `user` contains it. */
  readonly domain: string | undefined;
}

/** The message, its sender and the gateway. */
export interface SendOptions extends Sender {
  /** The recipients, at least one. */
  readonly to: readonly string[];
  readonly type: string | undefined;
  readonly subject: string | undefined;
  readonly id: string | undefined;
  readonly text: string;
}

/** A POST to one of the message URLs, without its credentials. */
export interface SendRequest {
  readonly url: string;
  /** The recipients, in the order in which the answer has their results. */
  readonly to: readonly string[];
  /** JSON */
  readonly body: string;
}

/** Builds the request for a message; throws UsageError. */
export function buildSendRequest(options: SendOptions): SendRequest {
  const { to, type, id, subject, text } = options;
  const message = { to: to.length === 1 ? to[0] : to, type, id, subject, body: text };
  return { url: buildUrl(options), to, body: JSON.stringify(message) };
}

/** Builds the URL for the messages of a sender; throws UsageError. */
export function buildUrl(options: Sender): string {
  const base = parseBase(options.url);
  const { local, domain } = senderOf(options);
  const user = options.from === undefined ? '' : `/${encodeURIComponent(local)}`;
  return `${base}/api/1.0/xmppdomains/${encodeURIComponent(domain)}/gateway/messages${user}`;
}

/** What `url` has to be, for people. */
export const gatewayUrl =
  'only the URL of the gateway, such as http://127.0.0.1:8080, without user name, password and /api/…';

/** Whether a text can be the `url` of a gateway. */
export function isGatewayUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username + url.password + url.search + url.hash === '';
  // `send` adds the path of the messages itself.
  return isPlain && !url.pathname.includes('/xmppdomains/') && /^https?:$/.test(url.protocol);
}

/** Whether two settings are the same `url`, however they spell it; one that cannot be a `url` equals none. */
export function isSameUrl(text: string, other: string | undefined): boolean {
  if (other === undefined || !isGatewayUrl(text) || !isGatewayUrl(other)) return false;
  return parseBase(text) === parseBase(other);
}

function parseBase(text: string): string {
  return new URL(text).href.replace(/\/+$/, '');
}

function senderOf({ from, user, domain }: Sender): { local: string; domain: string } {
  const [name, key] = from === undefined ? [user, 'user'] : [from, 'from'];
  const own = name.includes('@') ? readBareJid(name, key) : undefined;
  // The name of an API account may contain an at-sign without being a JID.
  const other = from !== undefined && user.includes('@') ? user.replace(/^.*@/s, '') : undefined;
  const found = own?.domain ?? domain ?? other;
  if (found === undefined) {
    throw new UsageError(
      from === undefined ? fromMissing : 'expected a JID as from, or a domain, got neither',
    );
  }
  if (own !== undefined && domain !== undefined && domain.toLowerCase() !== own.domain) {
    throw new UsageError(`expected one domain, got ${own.domain} in ${key}, and another as domain`);
  }
  return {
    local: own?.local ?? parseOption(key, () => parseLocalpart(name), isJidError),
    domain: found,
  };
}

const fromMissing =
  'expected from, the user as whom an API account speaks, such as alice@example.org; or for an XMPP user a JID as user, or a domain';

function readBareJid(text: string, key: string): { local: string; domain: string } {
  const { local, domain, resource }: Jid = parseOption(key, () => parseJid(text), isJidError);
  if (local === undefined || resource !== undefined) {
    throw new UsageError(`expected a bare JID as ${key}, got ${JSON.stringify(text)}`);
  }
  return { local, domain };
}

function isJidError(error: unknown): error is JidError {
  return error instanceof JidError;
}
