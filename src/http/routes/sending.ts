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
  digestPayload,
  type OnceAnswer,
  type Payload,
} from '../idempotency/answer-once.ts';
import type { Answer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';
import { buildAccepted, buildPreview, buildResults, type Result } from '../response/receipts.ts';

/** What it takes to send messages. */
export interface SendingPorts {
  /** Whether the recipient of a message is a room. */
  readonly isForRoom: (message: Message) => Promise<boolean>;
  /** Builds the stanza as it would be sent now; throws GatewayError `too-large`. */
  readonly buildStanza: (message: Message) => Stanza;
  readonly deliver: Deliver;
  /** How long a message may take, in milliseconds; then no further one of a list begins. */
  readonly confirmTimeoutMs: number;
  /** The answers to requests with an Idempotency-Key. */
  readonly answers: AnswerStore;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

/** A request whose message is valid, and what its Idempotency-Key, if it has one, stands for. */
export interface ValidRequest {
  readonly parsed: Submission;
  readonly key: CallerKey | undefined;
  readonly payload: Payload;
  readonly id: string;
  /** How many messages of a list are on their way at the same time. */
  readonly atOnce: number;
}

/** A dry run shows no more than this many times the largest body: a list repeats its text. */
const maxPreviewFactor = 4;

/** Builds the stanzas as they would be sent now; throws GatewayError `too-large`. */
export async function preview(
  ports: SendingPorts & { readonly limits: { readonly bodyBytes: number } },
  { parsed, key }: ValidRequest,
): Promise<Answer> {
  const messages = await Promise.all(
    parsed.messages.map((message) => prepare(ports, parsed, key, message)),
  );
  const maxBytes = maxPreviewFactor * ports.limits.bodyBytes;
  const stanzas: Stanza[] = [];
  let bytes = 0;
  for (const message of messages) {
    const stanza = ports.buildStanza(message);
    bytes += stanza.bytes;
    if (bytes > maxBytes && parsed.isList) {
      const detail = `A dry run shows at most ${maxBytes} bytes of stanzas: try fewer recipients.`;
      throw new GatewayError('too-large', detail);
    }
    stanzas.push(stanza);
  }
  return buildPreview(stanzas, parsed);
}

/** Adds what the gateway adds to a message: the type if the caller left it open, and an origin-id. */
async function prepare(
  { isForRoom }: SendingPorts,
  { isTypeOpen }: Submission,
  key: CallerKey | undefined,
  message: Message,
): Promise<Message> {
  const isToRoom = isTypeOpen && (await isForRoom(message));
  const typed: Message = isToRoom ? { ...message, type: 'groupchat' } : message;
  return key === undefined ? typed : withOriginId(typed);
}

/** Sends the messages of a request; rejects as Deliver does, and as the store of the answers does. */
export async function send(
  ports: SendingPorts,
  request: ValidRequest,
): Promise<Answer | OnceAnswer> {
  const { parsed, key } = request;
  const [single] = parsed.messages;
  if (!parsed.isList && single !== undefined) return sendOne(ports, request, single);
  if (key === undefined) return buildResults(await sendAll(ports, request));
  await claimForList(ports.answers, key, request.payload);
  // Hashed once, and not for each recipient.
  const payload = [digestPayload(key, request.payload)];
  return buildResults(await sendAll(ports, { ...request, payload }));
}

async function sendOne(
  ports: SendingPorts,
  { parsed, key, payload, id }: ValidRequest,
  message: Message,
): Promise<Answer | OnceAnswer> {
  const deliver = async (): Promise<Answer> =>
    buildAccepted(await ports.deliver(await prepare(ports, parsed, key, message)));
  return key === undefined ? deliver() : answerOnce(ports.answers, { key, payload, id }, deliver);
}

/** Sends the messages of a list in order. Rejects, after all of them, with the first error that is a bug. */
async function sendAll(ports: SendingPorts, request: ValidRequest): Promise<Result[]> {
  const { parsed, key, id, atOnce } = request;
  const deadline = performance.now() + ports.confirmTimeoutMs;
  const results: Result[] = [];
  const bugs: unknown[] = [];
  const queue = parsed.messages.entries();
  const work = async (): Promise<void> => {
    for (const [index, message] of queue) {
      const to = message.to.toString();
      try {
        if (ports.stopping.aborted || performance.now() > deadline) throw tooLate();
        const own = { ...request, key: key && keyFor(key, message.to) };
        results[index] = { to, answer: await sendOne(ports, own, message) };
      } catch (error) {
        if (!(error instanceof GatewayError)) bugs.push(error);
        results[index] = { to, answer: buildRefusal(error, id) };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (bugs.length > 0) throw bugs[0];
  return results;
}

function tooLate(): GatewayError {
  const detail =
    'Nothing was sent: the messages before this one took too long, or the gateway stops. Send the message again later.';
  return new GatewayError('xmpp-unavailable', detail);
}

/** The key of one message of a list; no caller can send it, because it has a blank. */
export function keyFor({ caller, key }: CallerKey, recipient: Jid): CallerKey {
  return { caller, key: `${key} ${recipient.toString()}` };
}
