import type { Context } from 'koa';
import { GatewayError } from '../core/errors.ts';
import { JidError, parseDomain, parseLocalpart } from '../core/jid.ts';
import { parseJson } from '../core/json.ts';
import {
  type Deliver,
  type Message,
  type MessageLimits,
  type Stanza,
  serializeMessage,
} from '../core/message.ts';
import { readMessageFromJson } from '../core/message-from-json.ts';
import { parseMessageFromXml } from '../core/message-from-xml.ts';
import type { MessageContext } from '../core/message-rules.ts';
import { decodeUtf8 } from '../core/utf8.ts';
import { createReadBody } from './body.ts';
import { type Notation, parseMediaType } from './media-type.ts';
import type { RequestRecord } from './request-record.ts';
import { findSender, type SenderPorts } from './sender.ts';
import { decodeSegment, notFound, requireMethod } from './target.ts';

/** What the two message URLs need from the rest of the gateway. */
export interface MessagePorts extends SenderPorts {
  /** The <fqdn>s served. */
  readonly domains: readonly string[];
  readonly componentDomain: string;
  readonly limits: MessageLimits & { readonly bodyBytes: number };
  readonly deliver: Deliver;
}

/** Answers a request to a message URL; `localpart` is undefined on the URL of the XMPP users. */
export type PostMessage = (
  ctx: Context,
  record: RequestRecord,
  fqdn: string,
  username: string | undefined,
) => Promise<void>;

/**
 * Creates the handler of both message URLs. Its lines are the way of a request; what each of them
 * refuses, it refuses before all that the lines below it would.
 */
export function createPostMessage(ports: MessagePorts): PostMessage {
  const { limits, componentDomain, deliver } = ports;
  const readBody = createReadBody(limits.bodyBytes);
  const findDomain = createFindDomain(ports.domains);
  return async (ctx, record, fqdn, username) => {
    const localpart = username === undefined ? undefined : parseUsername(username);
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['POST']);
    const domain = findDomain(domainText);
    const from = await findSender(
      ports,
      ctx.req.headers.authorization,
      record.address,
      domain,
      localpart,
    );
    record.sender = from.toString();
    const notation = parseMediaType(ctx.req.headers);
    const text = decodeUtf8(await readBody(ctx));
    const context = { from, limits, componentDomain, createId: () => record.id };
    const message = readMessage(notation, text, context);
    record.recipientDomain = message.to.domain;
    const stanza = serializeMessage(message, limits);
    refuseUnknownParameters(ctx.querystring);
    await deliver(stanza);
    answerAccepted(ctx, stanza);
  };
}

/** `.` and `..`, which a proxy may take for dot segments, are no user names (RFC 3986 §5.2.4). */
function parseUsername(segment: string): string {
  const username = decodeSegment(segment);
  if (username === '.' || username === '..') throw notFound();
  return orElse(() => parseLocalpart(username), notFound);
}

function createFindDomain(domains: readonly string[]): (fqdn: string) => string {
  const served = new Set(domains.map(parseDomain));
  return (fqdn) => {
    if (served.has(fqdn)) return fqdn;
    const domain = orElse(() => parseDomain(fqdn), unknownDomain);
    if (!served.has(domain)) throw unknownDomain();
    return domain;
  };
}

function unknownDomain(cause?: unknown): GatewayError {
  const detail = 'Expected one of the domains that the gateway is configured for as <fqdn>.';
  return new GatewayError('unknown-domain', detail, { cause });
}

function orElse<T>(parse: () => T, refusal: (cause: unknown) => GatewayError): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof JidError ? refusal(error) : error;
  }
}

function readMessage(notation: Notation, text: string, context: MessageContext): Message {
  return notation === 'json'
    ? readMessageFromJson(parseJson(text), context)
    : parseMessageFromXml(text, context);
}

function refuseUnknownParameters(query: string): void {
  if (query === '' || query === 'format=json') return;
  throw new GatewayError(
    'invalid-message',
    'Expected no query parameters; only format=json is accepted, and means nothing.',
  );
}

const answerHeaders = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

function answerAccepted(ctx: Context, stanza: Stanza): void {
  ctx.status = 200;
  ctx.set(answerHeaders);
  ctx.body = JSON.stringify({
    status: 'success',
    message: 'The XMPP server accepted the message.',
    id: stanza.id,
    from: stanza.from.toString(),
    to: stanza.to.toString(),
  });
}
