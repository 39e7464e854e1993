import type { Context } from 'koa';
import type { ApiAccounts } from '../../auth/api-accounts.ts';
import { parseBasicCredentials } from '../../auth/basic-credentials.ts';
import type { Users } from '../../auth/users.ts';
import { createJid, type Jid, parseDomain } from '../../core/jid/jid.ts';
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
import { type BodyBudget, createReadBody, type Notation, parseMediaType } from '../request/body.ts';
import type { RequestRecord } from '../request/log.ts';
import {
  createFindDomain,
  decodeSegment,
  parseParameters,
  parseUsername,
  requireMethod,
} from '../request/url.ts';
import type { HttpAnswer } from '../response/answer.ts';

/** What the two message URLs need from the rest of the gateway. */
export interface MessagePorts {
  readonly users: Users;
  readonly apiAccounts: ApiAccounts;
  /** The domains served. */
  readonly domains: readonly string[];
  readonly componentDomain: string;
  readonly limits: MessageLimits & { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  /** Builds the stanza as it would be sent now; throws GatewayError `too-large`. */
  readonly buildStanza: (message: Message) => Stanza;
  readonly deliver: Deliver;
  /** The answers to requests with an Idempotency-Key. */
  readonly answers: AnswerStore;
}

/** Answers a request to a message URL; `username` is undefined on the URL of the XMPP users. */
export type PostMessage = (
  ctx: Context,
  record: RequestRecord,
  fqdn: string,
  username?: string,
) => Promise<HttpAnswer>;

/**
 * Creates the handler of both message URLs. A request passes its lines from top to bottom, and so
 * they also determine which of several refusals a request gets.
 */
export function createPostMessage(ports: MessagePorts): PostMessage {
  const { limits, componentDomain, buildStanza, deliver, answers } = ports;
  const readBody = createReadBody(limits.bodyBytes, ports.bodyBudget);
  const servedDomains = new Set(ports.domains.map(parseDomain));
  const findDomain = createFindDomain(ports.domains);
  return async (ctx, record, fqdn, username) => {
    const localpart = username === undefined ? undefined : parseUsername(username);
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['POST']);
    const domain = findDomain(domainText);
    const { from, caller } = await findSender(ports, ctx, record.address, domain, localpart);
    record.sender = from.toString();
    const notation = parseMediaType(ctx.req.headers);
    const bytes = await readBody(ctx, caller);
    const text = decodeUtf8(bytes);
    const readKey = (): CallerKey | undefined => readCallerKey(ctx, caller);
    const createId = (): string => createStanzaId(readKey(), record);
    const context = { from, caller, limits, componentDomain, servedDomains, createId };
    const read = readMessage(notation, text, context);
    record.recipientDomain = read.to.domain;
    const key = readKey();
    const { isDryRun } = parseParameters(ctx.querystring);
    const message = key === undefined ? read : withOriginId(read);
    if (isDryRun) {
      record.dryRun = true;
      return buildAnswer(record, buildPreview(buildStanza(message)));
    }
    const send = async (): Promise<Answer> => buildAccepted(await deliver(message));
    if (key === undefined) return buildAnswer(record, await send());
    buildStanza(message);
    const payload = [record.sender, notation, bytes];
    const request = { key, payload, id: record.id };
    return buildAnswer(record, await answerOnce(answers, request, send));
  };
}

/** Who a message is from, and who asks for it to be sent. */
interface Sender {
  /** The bare JID. */
  readonly from: Jid;
  /** Names the API account or the XMPP user; the two cannot be confused. */
  readonly caller: string;
}

/**
 * Finds the sender that the credentials permit: without `localpart` the XMPP user itself, else that
 * user of the domain, by an API account. Rejects as users and API accounts do.
 */
async function findSender(
  { users, apiAccounts }: MessagePorts,
  { req }: Context,
  address: string,
  domain: string,
  localpart: string | undefined,
): Promise<Sender> {
  const credentials = parseBasicCredentials(req.headers.authorization);
  if (localpart === undefined) {
    const user = await users.authenticate(credentials, domain, address);
    users.authorize(user);
    return { from: user, caller: `user ${user.toString()}` };
  }
  const account = await apiAccounts.authenticate(credentials, domain, address);
  apiAccounts.authorize(account, domain, localpart);
  return { from: createJid(localpart, domain), caller: `account ${account.username}` };
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

/** RFC 7303 §9.1. The bytes are those of the wire, where the stream declares the default namespace. */
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

function buildAnswer(record: RequestRecord, answer: Answer | OnceAnswer): HttpAnswer {
  const { status, code, contentType, body } = answer;
  record.code = code;
  const headers = {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    ...('isReplayed' in answer && answer.isReplayed && { 'Idempotency-Replayed': 'true' }),
  };
  return { status, headers, body };
}
