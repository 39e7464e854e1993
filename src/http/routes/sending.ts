import { GatewayError } from '../../core/errors.ts';
import type { Jid } from '../../core/jid/jid.ts';
import {
  type Deliver,
  type Message,
  type Stanza,
  type Submission,
  withOriginId,
} from '../../core/message/message.ts';
import {
  type AnswerStore,
  answerOnce,
  type CallerKey,
  claimForList,
  type OnceAnswer,
} from '../idempotency/answer-once.ts';
import type { Answer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';
import { buildAccepted, buildPreview, buildResults, type Result } from '../response/receipts.ts';

/** What it takes to send messages. */
export interface SendingPorts {
  /** Whether an address is a room; rejects with GatewayError `overloaded`. */
  readonly isRoom: (address: Jid) => Promise<boolean>;
  /** Builds the stanza as it would be sent now; throws GatewayError `too-large`. */
  readonly buildStanza: (message: Message) => Stanza;
  readonly deliver: Deliver;
  /** The answers to requests with an Idempotency-Key. */
  readonly answers: AnswerStore;
}

/** A request whose message is valid, and what its Idempotency-Key, if it has one, stands for. */
export interface ValidRequest {
  readonly parsed: Submission;
  readonly key: CallerKey | undefined;
  readonly payload: readonly (string | Uint8Array)[];
  readonly id: string;
}

/** Builds the stanzas as they would be sent now; throws GatewayError `too-large`. */
export async function preview(ports: SendingPorts, { parsed, key }: ValidRequest): Promise<Answer> {
  const messages = await Promise.all(
    parsed.messages.map((message) => prepare(ports, parsed, key, message)),
  );
  return buildPreview(messages.map(ports.buildStanza), parsed);
}

/** Adds what the gateway adds to a message: the type if the caller left it open, and an origin-id. */
async function prepare(
  { isRoom }: SendingPorts,
  { isTypeOpen }: Submission,
  key: CallerKey | undefined,
  message: Message,
): Promise<Message> {
  const isForRoom = isTypeOpen && (await isRoom(message.to));
  const typed: Message = isForRoom ? { ...message, type: 'groupchat' } : message;
  return key === undefined ? typed : withOriginId(typed);
}

/** Sends the messages of a request; rejects as Deliver does, and as the store of the answers does. */
export async function send(
  ports: SendingPorts,
  request: ValidRequest,
): Promise<Answer | OnceAnswer> {
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

/** The key of one message of a list; no caller can send it, because it has a blank. */
export function keyFor({ caller, key }: CallerKey, recipient: Jid): CallerKey {
  return { caller, key: `${key} ${recipient.toString()}` };
}
