import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import type { ApiAccounts } from '../../auth/api-accounts.ts';
import { parseBasicCredentials } from '../../auth/basic-credentials.ts';
import type { Users } from '../../auth/users.ts';
import { GatewayError } from '../../core/errors.ts';
import { createJid, type Jid, parseDomain } from '../../core/jid/jid.ts';
import type { MessageLimits } from '../../core/message/message.ts';
import type { MessageContext } from '../../core/message/rules.ts';
import { decodeUtf8 } from '../../core/text.ts';
import {
  type CallerKey,
  deriveStanzaId,
  type OnceAnswer,
  parseIdempotencyKey,
  useKey,
} from '../idempotency/answer-once.ts';
import { type BodyBudget, continueExpected, createReadBody } from '../request/body.ts';
import { type MessageQuery, parseQuery } from '../request/fields.ts';
import { refuseForeignPage } from '../request/foreign-page.ts';
import type { RequestRecord } from '../request/log.ts';
import { type Notation, parseMediaType } from '../request/media-type.ts';
import { parseWait } from '../request/prefer.ts';
import { type ParsedRequest, parseRequest, type RenderTemplate } from '../request/submission.ts';
import { createFindDomain, decodeSegment, parseUsername, requireMethod } from '../request/url.ts';
import type { Answer, HttpAnswer, StreamedAnswer } from '../response/answer.ts';
import { answerBulk, type BulkPorts } from './bulk.ts';
import { keyFor, preview, type Sent, send, type ValidRequest, watchHangUp } from './sending.ts';

/** What the two message URLs need from the rest of the gateway. */
export interface MessagePorts extends BulkPorts {
  readonly users: Users;
  readonly apiAccounts: ApiAccounts;
  /** The domains served. */
  readonly domains: readonly string[];
  readonly componentDomain: string;
  readonly limits: MessageLimits & { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  readonly templates: { readonly render: RenderTemplate };
}

/** How many messages of a list are on their way at the same time. */
const maxListAtOnce = 16;

/** Answers a request to a message URL; `username` is undefined on the URL of the XMPP users. */
export type PostMessage = (
  ctx: Context,
  record: RequestRecord,
  fqdn: string,
  username?: string,
) => Promise<HttpAnswer | StreamedAnswer>;

/**
 * Creates the handler of both message URLs. A request passes its lines from top to bottom, and so
 * they also determine which of several refusals a request gets.
 */
export function createPostMessage(ports: MessagePorts): PostMessage {
  const { limits, componentDomain, templates } = ports;
  const readBody = createReadBody(limits.bodyBytes, ports.bodyBudget);
  const findDomain = createFindDomain(ports.domains);
  const servedDomains = new Set(ports.domains.map(parseDomain));
  // Apart, so that a body does not stay in memory while its messages wait for the XMPP server.
  const readRequest = async (
    ctx: Context,
    record: RequestRecord,
    notation: Exclude<Notation, 'lines'>,
    sender: Omit<MessageContext, 'createId'>,
  ): Promise<ValidRequest & { readonly parsed: ParsedRequest }> => {
    const { from, caller } = sender;
    const text = decodeUtf8(await readBody(ctx, caller));
    const readKey = (): CallerKey | undefined => readCallerKey(ctx, caller);
    const createId = (listed?: Jid): string => createStanzaId(readKey(), record, listed);
    const context = { ...sender, createId };
    const parsed = parseRequest(notation, text, ctx.querystring, context, templates.render);
    noteRecipients(record, parsed);
    const key = readKey();
    // A payload without `rest` stays as it was before that existed, because stored answers outlive an
    // upgrade.
    const rest = parsed.rest === undefined ? [] : [parsed.rest];
    const use = key && useKey(key, [from.toString(), notation, text, ...rest]);
    const waitSeconds = parseWait(ctx.req.headers['prefer']?.toString());
    return { parsed, use, id: record.id, atOnce: maxListAtOnce, waitSeconds };
  };
  // Apart, so that a message does not stay in memory while the receipt of a client is awaited.
  const readAndSend = async (...of: Parameters<typeof readRequest>): Promise<Sent> => {
    const request = await readRequest(...of);
    if (!request.parsed.isDryRun) return send(ports, request);
    const [, record] = of;
    record.dryRun = true;
    return { answer: await preview(ports, request) };
  };
  return async (ctx, record, fqdn, username) => {
    const localpart = username === undefined ? undefined : parseUsername(username, fqdn);
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['POST']);
    const domain = findDomain(domainText);
    record.action = 'send';
    const { from, caller } = await findSender(ports, ctx, record, domain, localpart);
    const notation = parseMediaType(ctx.req.headers);
    refuseForeignPage(ctx.req.headers, notation);
    const sender = { from, caller, limits, componentDomain, servedDomains };
    if (notation === 'lines') {
      const { isDryRun } = parseBulkParameters(ctx);
      if (isDryRun) record.dryRun = true;
      continueExpected(ctx);
      return answerBulk(ports, { req: ctx.req, record, context: sender, isDryRun });
    }
    const { answer, complete } = await readAndSend(ctx, record, notation, sender);
    if (complete === undefined) return buildAnswer(record, answer);
    const { hungUp, stop } = watchHangUp(ctx.req.socket);
    try {
      return buildAnswer(record, await complete(hungUp));
    } finally {
      stop();
    }
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
 * user of the domain, by an API account. Notes both in the record, even if the account may not send
 * as that user. Rejects as users and API accounts do.
 */
async function findSender(
  { users, apiAccounts }: MessagePorts,
  { req }: Context,
  record: RequestRecord,
  domain: string,
  localpart: string | undefined,
): Promise<Sender> {
  const credentials = parseBasicCredentials(req.headers.authorization);
  if (localpart === undefined) {
    const user = await users.authenticate(credentials, domain, record.address);
    record.sender = user.toString();
    users.authorize(user);
    return { from: user, caller: `user ${user.toString()}` };
  }
  const account = await apiAccounts.authenticate(credentials, domain, record.address);
  const from = createJid(localpart, domain);
  record.account = account.username;
  record.sender = from.toString();
  apiAccounts.authorize(account, domain, localpart);
  return { from, caller: `account ${account.username}` };
}

function readCallerKey(ctx: Context, caller: string): CallerKey | undefined {
  const key = parseIdempotencyKey(ctx.req.headers['idempotency-key']?.toString());
  return key === undefined ? undefined : { caller, key };
}

/** Each line has its own key, so there is none for all of them. */
function parseBulkParameters({ querystring, req }: Context): MessageQuery {
  if (req.headers['idempotency-key'] === undefined) return parseQuery(querystring, 'lines');
  throw new GatewayError(
    'invalid-message',
    'Idempotency-Key: expected a key in each line, as the field idempotency_key, not one for all.',
  );
}

/** Each message of a list has its own id. */
function createStanzaId(key: CallerKey | undefined, record: RequestRecord, listed?: Jid): string {
  if (key !== undefined) return deriveStanzaId(listed === undefined ? key : keyFor(key, listed));
  return listed === undefined ? record.id : randomUUID();
}

function noteRecipients(record: RequestRecord, { messages, isList }: ParsedRequest): void {
  const domain = messages[0]?.to.domain;
  const isOne = messages.every(({ to }) => to.domain === domain);
  if (domain !== undefined && isOne) record.recipientDomain = domain;
  if (isList) record.recipients = messages.length;
}

function buildAnswer(record: RequestRecord, answer: Answer | OnceAnswer): HttpAnswer {
  const { status, code, contentType, body, counts, waitSeconds } = answer;
  record.code = code;
  if (counts !== undefined) record.counts = counts;
  const isReplayed = 'isReplayed' in answer && answer.isReplayed;
  if (isReplayed) record.isReplayed = true;
  const headers = {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    ...(isReplayed && { 'Idempotency-Replayed': 'true' }),
    ...(waitSeconds !== undefined && { 'Preference-Applied': `wait=${waitSeconds}` }),
  };
  return { status, headers, body };
}
