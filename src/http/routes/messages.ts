import type { Context } from 'koa';
import { parseJson } from '../../core/json.ts';
import { readMessageFromJson } from '../../core/message/from-json.ts';
import { parseMessageFromXml } from '../../core/message/from-xml.ts';
import {
  type Deliver,
  type Message,
  type MessageLimits,
  type Receipt,
  type Stanza,
  withOriginId,
} from '../../core/message/message.ts';
import type { MessageContext } from '../../core/message/rules.ts';
import { decodeUtf8 } from '../../core/text.ts';
import {
  type Answer,
  type AnswerStore,
  answerOnce,
  type CallerKey,
  deriveStanzaId,
  type OnceAnswer,
  parseIdempotencyKey,
} from '../idempotency/answer-once.ts';
import { type BodyBudget, createReadBody } from '../request/body.ts';
import { findSender, type SenderPorts } from '../request/credentials.ts';
import type { RequestRecord } from '../request/log.ts';
import { type Notation, parseMediaType } from '../request/media-type.ts';
import {
  createFindDomain,
  decodeSegment,
  parseParameters,
  parseUsername,
  requireMethod,
} from '../request/url.ts';

/** What the two message URLs need from the rest of the gateway. */
export interface MessagePorts extends SenderPorts {
  /** The <fqdn>s served. */
  readonly domains: readonly string[];
  readonly componentDomain: string;
  readonly limits: MessageLimits & { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  /** The stanza as it would be sent now; throws GatewayError `too-large`. */
  readonly buildStanza: (message: Message) => Stanza;
  readonly deliver: Deliver;
  /** What was answered to requests with an Idempotency-Key. */
  readonly answers: AnswerStore;
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
  const { limits, componentDomain, buildStanza, deliver, answers } = ports;
  const readBody = createReadBody(limits.bodyBytes, ports.bodyBudget);
  const findDomain = createFindDomain(ports.domains);
  return async (ctx, record, fqdn, username) => {
    const localpart = username === undefined ? undefined : parseUsername(username);
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['POST']);
    const domain = findDomain(domainText);
    const { authorization } = ctx.req.headers;
    const sender = await findSender(ports, authorization, record.address, domain, localpart);
    const { from, caller } = sender;
    record.sender = from.toString();
    const notation = parseMediaType(ctx.req.headers);
    const bytes = await readBody(ctx, caller);
    const text = decodeUtf8(bytes);
    const readKey = (): CallerKey | undefined => readCallerKey(ctx, caller);
    const createId = (): string => createStanzaId(readKey(), record);
    const context = { from, caller, limits, componentDomain, createId };
    const read = readMessage(notation, text, context);
    record.recipientDomain = read.to.domain;
    const key = readKey();
    const { isDryRun } = parseParameters(ctx.querystring);
    const message = key === undefined ? read : withOriginId(read);
    if (isDryRun) {
      record.dryRun = true;
      answer(ctx, record, buildPreview(buildStanza(message)));
      return;
    }
    const send = async (): Promise<Answer> => buildAccepted(await deliver(message));
    if (key === undefined) {
      answer(ctx, record, await send());
    } else {
      buildStanza(message);
      const payload = [record.sender, notation, bytes];
      const request = { key, payload, id: record.id };
      answer(ctx, record, await answerOnce(answers, request, send));
    }
  };
}

function readMessage(notation: Notation, text: string, context: MessageContext): Message {
  return notation === 'json'
    ? readMessageFromJson(parseJson(text), context)
    : parseMessageFromXml(text, context);
}

function readCallerKey(ctx: Context, caller: string): CallerKey | undefined {
  const key = parseIdempotencyKey(ctx.req.headers['idempotency-key']?.toString());
  return key === undefined ? undefined : { caller, key };
}

function createStanzaId(key: CallerKey | undefined, record: RequestRecord): string {
  return key === undefined ? record.id : deriveStanzaId(key);
}

/** RFC 7303 §9.1; the bytes are those of the wire, where the stream has the default namespace. */
function buildPreview({ xml }: Stanza): Answer {
  return { status: 200, code: 'ok', contentType: 'application/xml', body: xml };
}

function buildAccepted({ id, from, to, mode, confirmed }: Receipt): Answer {
  const body = JSON.stringify({
    status: 'success',
    message: 'The XMPP server accepted the message.',
    id,
    from: from.toString(),
    to: to.toString(),
    mode,
    confirmed,
  });
  return { status: 200, code: 'ok', contentType: 'application/json', body };
}

/** Headers and body in one call, not header by header through Koa: it is the way of every message. */
function answer(ctx: Context, record: RequestRecord, answered: Answer | OnceAnswer): void {
  const { status, code, contentType, body } = answered;
  record.code = code;
  ctx.respond = false;
  ctx.res.writeHead(status, {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(body),
    ...('isReplayed' in answered && answered.isReplayed && { 'Idempotency-Replayed': 'true' }),
  });
  ctx.res.end(body);
}
