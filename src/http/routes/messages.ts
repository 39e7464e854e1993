import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import type { ApiAccounts } from '../../auth/api-accounts.ts';
import { parseBasicCredentials } from '../../auth/basic-credentials.ts';
import type { Users } from '../../auth/users.ts';
import { GatewayError } from '../../core/errors.ts';
import { createJid, type Jid, parseDomain } from '../../core/jid/jid.ts';
import {
  type Deliver,
  type Message,
  type MessageLimits,
  type Stanza,
  withOriginId,
} from '../../core/message/message.ts';
import { decodeUtf8 } from '../../core/text.ts';
import {
  type AnswerStore,
  answerOnce,
  type CallerKey,
  claimForList,
  deriveStanzaId,
  type OnceAnswer,
  parseIdempotencyKey,
} from '../idempotency/answer-once.ts';
import { type BodyBudget, createReadBody } from '../request/body.ts';
import type { RequestRecord } from '../request/log.ts';
import { parseMediaType, refuseForeignPage } from '../request/media-type.ts';
import { type ParsedRequest, parseRequest, type RenderTemplate } from '../request/submission.ts';
import { createFindDomain, decodeSegment, parseUsername, requireMethod } from '../request/url.ts';
import type { Answer, HttpAnswer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';
import { buildAccepted, buildPreview, buildResults, type Result } from '../response/receipts.ts';

/** What the two message URLs need from the rest of the gateway. */
export interface MessagePorts {
  readonly users: Users;
  readonly apiAccounts: ApiAccounts;
  /** The domains served. */
  readonly domains: readonly string[];
  readonly componentDomain: string;
  readonly limits: MessageLimits & { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  /** Whether an address is a room; rejects with GatewayError `overloaded`. */
  readonly isRoom: (address: Jid) => Promise<boolean>;
  /** Builds the stanza as it would be sent now; throws GatewayError `too-large`. */
  readonly buildStanza: (message: Message) => Stanza;
  readonly deliver: Deliver;
  /** The answers to requests with an Idempotency-Key. */
  readonly answers: AnswerStore;
  readonly templates: { readonly render: RenderTemplate };
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
  const { limits, componentDomain, templates } = ports;
  const readBody = createReadBody(limits.bodyBytes, ports.bodyBudget);
  const findDomain = createFindDomain(ports.domains);
  const servedDomains = new Set(ports.domains.map(parseDomain));
  return async (ctx, record, fqdn, username) => {
    const localpart = username === undefined ? undefined : parseUsername(username);
    const domainText = decodeSegment(fqdn);
    requireMethod(ctx.method, ['POST']);
    const domain = findDomain(domainText);
    const { from, caller } = await findSender(ports, ctx, record.address, domain, localpart);
    record.sender = from.toString();
    const notation = parseMediaType(ctx.req.headers);
    refuseForeignPage(ctx.req.headers, notation);
    const bytes = await readBody(ctx, caller);
    const text = decodeUtf8(bytes);
    const readKey = (): CallerKey | undefined => readCallerKey(ctx, caller);
    const createId = (listed?: Jid): string => createStanzaId(readKey(), record, listed);
    const context = { from, caller, limits, componentDomain, servedDomains, createId };
    const parsed = parseRequest(notation, text, ctx.querystring, context, templates.render);
    noteRecipients(record, parsed);
    const key = readKey();
    const request = { parsed, key, payload: [record.sender, notation, bytes], id: record.id };
    if (parsed.isDryRun) {
      record.dryRun = true;
      return buildAnswer(record, await preview(ports, request));
    }
    return buildAnswer(record, await send(ports, request));
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

function readCallerKey(ctx: Context, caller: string): CallerKey | undefined {
  const key = parseIdempotencyKey(ctx.req.headers['idempotency-key']?.toString());
  return key === undefined ? undefined : { caller, key };
}

/** Each message of a list has an id of its own. */
function createStanzaId(key: CallerKey | undefined, record: RequestRecord, listed?: Jid): string {
  if (key !== undefined) return deriveStanzaId(listed === undefined ? key : keyFor(key, listed));
  return listed === undefined ? record.id : randomUUID();
}

/** The key of one message of a list; no caller can send it, because it has a blank. */
function keyFor({ caller, key }: CallerKey, recipient: Jid): CallerKey {
  return { caller, key: `${key} ${recipient.toString()}` };
}

function noteRecipients(record: RequestRecord, { messages, isList }: ParsedRequest): void {
  const [domain, ...others] = new Set(messages.map(({ to }) => to.domain));
  if (domain !== undefined && others.length === 0) record.recipientDomain = domain;
  if (isList) record.recipients = messages.length;
}

/** A request whose message is valid, and what its Idempotency-Key, if it has one, stands for. */
interface ValidRequest {
  readonly parsed: ParsedRequest;
  readonly key: CallerKey | undefined;
  readonly payload: readonly (string | Uint8Array)[];
  readonly id: string;
}

async function preview(ports: MessagePorts, { parsed, key }: ValidRequest): Promise<Answer> {
  const messages = await Promise.all(
    parsed.messages.map((message) => prepare(ports, parsed, key, message)),
  );
  return buildPreview(messages.map(ports.buildStanza), parsed);
}

/** Adds what the gateway adds to a message: the type if the caller left it open, and an origin-id. */
async function prepare(
  { isRoom }: MessagePorts,
  { isTypeOpen }: ParsedRequest,
  key: CallerKey | undefined,
  message: Message,
): Promise<Message> {
  const isForRoom = isTypeOpen && (await isRoom(message.to));
  const typed: Message = isForRoom ? { ...message, type: 'groupchat' } : message;
  return key === undefined ? typed : withOriginId(typed);
}

async function send(ports: MessagePorts, request: ValidRequest): Promise<Answer | OnceAnswer> {
  const { parsed, key, payload, id } = request;
  const sendOne = async (message: Message, ownKey?: CallerKey): Promise<Answer | OnceAnswer> => {
    const prepared = await prepare(ports, parsed, key, message);
    const deliver = async (): Promise<Answer> => buildAccepted(await ports.deliver(prepared));
    if (ownKey === undefined) return deliver();
    // A message that is too large now may be sent with the same key later.
    ports.buildStanza(prepared);
    return answerOnce(ports.answers, { key: ownKey, payload, id }, deliver);
  };
  const [single] = parsed.messages;
  if (!parsed.isList && single !== undefined) return sendOne(single, key);
  if (key !== undefined) await claimForList(ports.answers, key, payload);
  const results = await sendAll(parsed.messages, id, (message) =>
    sendOne(message, key && keyFor(key, message.to)),
  );
  return buildResults(results);
}

/** How many messages of a list are on their way at the same time. */
const maxAtOnce = 16;

/** Sends messages in order. Rejects, after all of them, with the first error that is a bug. */
async function sendAll(
  messages: readonly Message[],
  requestId: string,
  sendOne: (message: Message) => Promise<Answer>,
): Promise<Result[]> {
  const results: Result[] = [];
  const bugs: unknown[] = [];
  const queue = messages.entries();
  const work = async (): Promise<void> => {
    for (const [index, message] of queue) {
      const to = message.to.toString();
      try {
        results[index] = { to, answer: await sendOne(message) };
      } catch (error) {
        if (!(error instanceof GatewayError)) bugs.push(error);
        results[index] = { to, answer: buildRefusal(error, requestId) };
      }
    }
  };
  await Promise.all(Array.from({ length: maxAtOnce }, work));
  if (bugs.length > 0) throw bugs[0];
  return results;
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
