import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { GatewayError } from '../../core/errors.ts';
import type { Jid } from '../../core/jid/jid.ts';
import {
  type Arrival,
  type Deliver,
  type Delivered,
  type Message,
  type Receipt,
  type Stanza,
  type Submission,
  typeForRoom,
  withOriginId,
} from '../../core/message/message.ts';
import {
  type AnswerStore,
  answerOnce,
  buildKeptRefusal,
  type CallerKey,
  claimForList,
  type KeyUse,
  type OnceAnswer,
  useKey,
} from '../idempotency/answer-once.ts';
import type { Answer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';
import { buildAccepted, buildPreview, buildResults, type Result } from '../response/receipts.ts';

/** What it takes to send messages. */
export interface SendingPorts {
  /** Whether the recipient of a message is a room. */
  readonly isForRoom: (message: Message) => boolean | Promise<boolean>;
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

/** A request whose message is valid. Its body is not kept while it waits for the XMPP server. */
export interface ValidRequest {
  readonly parsed: Submission;
  readonly use: KeyUse | undefined;
  readonly id: string;
  /** How many messages of a list are on their way at the same time. */
  readonly atOnce: number;
  /** How long the caller waits for a receipt of each recipient's client, in seconds. */
  readonly waitSeconds: number | undefined;
}

/** Messages that the server has processed. */
export interface Sent {
  readonly answer: Answer | OnceAnswer;
  /** Waits for receipts, if they were asked for. */
  readonly complete?: Complete | undefined;
}

/**
 * Resolves with the last answer. `hungUp` is aborted when the caller is gone, and waits no longer. It
 * rejects, for a single message, with GatewayError `bounced`.
 */
export type Complete = (hungUp: AbortSignal) => Promise<Answer>;

/** A dry run shows no more than this many times the largest body: a list repeats its text. */
const maxPreviewFactor = 4;

/** Builds the stanzas as they would be sent now; throws GatewayError `too-large`. */
export async function preview(
  ports: SendingPorts & { readonly limits: { readonly bodyBytes: number } },
  request: ValidRequest,
): Promise<Answer> {
  const { parsed } = request;
  const messages = await Promise.all(
    parsed.messages.map(async (message) => prepare(ports, request, message)),
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
function prepare(
  { isForRoom }: SendingPorts,
  { parsed, use, waitSeconds }: ValidRequest,
  message: Message,
): Message | Promise<Message> {
  const complete = (isToRoom: boolean): Message => {
    const typed: Message = isToRoom ? { ...message, type: typeForRoom(message) } : message;
    const own = waitSeconds === undefined ? typed : { ...typed, waitMs: waitSeconds * 1000 };
    return use === undefined ? own : withOriginId(own);
  };
  const isToRoom = parsed.isTypeOpen && isForRoom(message);
  return typeof isToRoom === 'boolean' ? complete(isToRoom) : isToRoom.then(complete);
}

/**
 * Sends the messages of a request; rejects as Deliver does, and as the store of the answers does. The
 * wait for receipts is apart, because nothing may keep the messages in memory meanwhile.
 */
export async function send(ports: SendingPorts, request: ValidRequest): Promise<Sent> {
  const { parsed, use, waitSeconds } = request;
  const [single] = parsed.messages;
  if (!parsed.isList && single !== undefined) {
    if (use === undefined && waitSeconds === undefined) {
      // Almost all messages: no answer is kept for them, and no receipt is awaited.
      return { answer: buildAccepted(await ports.deliver(await prepare(ports, request, single))) };
    }
    return sendOne(ports, request, single);
  }
  if (use !== undefined) await claimForList(ports.answers, use);
  return sendAll(ports, request);
}

/**
 * Notices when a client closes its connection, or its sending half, which looks the same from here.
 * `stop` must follow.
 */
export function watchHangUp(socket: Socket): {
  readonly hungUp: AbortSignal;
  readonly stop: () => void;
} {
  const controller = new AbortController();
  const { signal: hungUp } = controller;
  // Each recipient of a list, and each line, has one.
  setMaxListeners(0, hungUp);
  const abort = (): void => controller.abort();
  socket.once('end', abort).once('close', abort);
  if (socket.readableEnded || socket.destroyed) abort();
  return { hungUp, stop: () => void socket.off('end', abort).off('close', abort) };
}

async function sendOne(
  ports: SendingPorts,
  request: ValidRequest,
  message: Message,
): Promise<Sent> {
  const { use, id, waitSeconds } = request;
  const found: { delivered?: Delivered } = {};
  const deliver = async (): Promise<Answer> => {
    const delivered = await ports.deliver(await prepare(ports, request, message));
    found.delivered = delivered;
    return buildAccepted(delivered, delivered.arrival && waitSeconds);
  };
  const answer =
    use === undefined ? await deliver() : await answerOnce(ports.answers, { use, id }, deliver);
  const { delivered } = found;
  if (delivered?.arrival === undefined) return { answer };
  return { answer, complete: follow(delivered, delivered.arrival, request, answer) };
}

/** Returns what waits for the receipt, and keeps a replay of the answer up to date. */
function follow(
  delivered: Delivered,
  arrival: Arrival,
  { id, waitSeconds }: ValidRequest,
  answer: Answer | OnceAnswer,
): Complete {
  const amend = 'amend' in answer ? answer.amend : undefined;
  const build = (confirmed: Receipt['confirmed']): Answer =>
    buildAccepted({ ...delivered, confirmed }, waitSeconds);
  if (amend !== undefined) {
    arrival.onLate((fate) => {
      void amend(fate instanceof Error ? buildKeptRefusal(fate, id) : build(fate));
    });
  }
  const end = (): void => arrival.end();
  return async (hungUp) => {
    hungUp.addEventListener('abort', end);
    if (hungUp.aborted) end();
    try {
      const last = build(await arrival.confirmed);
      if (last.body !== answer.body) await amend?.(last);
      return last;
    } catch (error) {
      await amend?.(buildKeptRefusal(error, id));
      throw error;
    } finally {
      hungUp.removeEventListener('abort', end);
    }
  };
}

/** Sends the messages of a list in order. Rejects, after all of them, with the first error that is a bug. */
async function sendAll(ports: SendingPorts, request: ValidRequest): Promise<Sent> {
  const { parsed, use, id, atOnce } = request;
  const deadline = performance.now() + ports.confirmTimeoutMs;
  const answers = new ListAnswers(id);
  const queue = parsed.messages.entries();
  const work = async (): Promise<void> => {
    for (const [index, message] of queue) {
      const to = message.to.toString();
      try {
        if (ports.stopping.aborted || performance.now() > deadline) throw tooLate();
        const own = use && useKey(keyFor(use, message.to), [use.digest]);
        answers.add(index, to, await sendOne(ports, { ...request, use: own }, message));
      } catch (error) {
        answers.refuse(index, to, error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return answers.toSent();
}

/** The answers to the messages of a list, in its order. */
class ListAnswers {
  readonly #id: string;
  readonly #results: Result[] = [];
  readonly #bugs: unknown[] = [];
  /** What is left to do for those that wait for receipts, which do not keep others from being sent. */
  readonly #waits: ((hungUp: AbortSignal) => Promise<void>)[] = [];

  /** `id` is that of the request. */
  constructor(id: string) {
    this.#id = id;
  }

  add(index: number, to: string, { answer, complete }: Sent): void {
    this.#results[index] = { to, answer };
    if (complete === undefined) return;
    this.#waits.push(async (hungUp) => {
      try {
        this.#results[index] = { to, answer: await complete(hungUp) };
      } catch (error) {
        this.refuse(index, to, error);
      }
    });
  }

  refuse(index: number, to: string, error: unknown): void {
    if (!(error instanceof GatewayError)) this.#bugs.push(error);
    this.#results[index] = { to, answer: buildRefusal(error, this.#id) };
  }

  toSent(): Sent {
    const answer = this.#build();
    if (this.#waits.length === 0) return { answer };
    const complete: Complete = async (hungUp) => {
      await Promise.all(this.#waits.map((wait) => wait(hungUp)));
      return this.#build();
    };
    return { answer, complete };
  }

  #build(): Answer {
    if (this.#bugs.length > 0) throw this.#bugs[0];
    return buildResults(this.#results);
  }
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
