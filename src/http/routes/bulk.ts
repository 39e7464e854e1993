import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { GatewayError } from '../../core/errors.ts';
import type { Jid } from '../../core/jid/jid.ts';
import { isRecord, parseJson } from '../../core/json.ts';
import { readSubmission } from '../../core/message/from-json.ts';
import type { MessageContext } from '../../core/message/rules.ts';
import { decodeUtf8 } from '../../core/text.ts';
import { type CallerKey, deriveStanzaId, parseKey, useKey } from '../idempotency/answer-once.ts';
import type { BodyBudget } from '../request/body.ts';
import { type Line, readLines, Wakeup } from '../request/lines.ts';
import type { RequestRecord } from '../request/log.ts';
import { readWait } from '../request/prefer.ts';
import type { Answer, StreamedAnswer } from '../response/answer.ts';
import { buildRefusal } from '../response/problem.ts';
import {
  keyFor,
  preview,
  type SendingPorts,
  send,
  type ValidRequest,
  watchHangUp,
} from './sending.ts';

/** What a request with many messages needs. */
export interface BulkPorts extends SendingPorts {
  readonly limits: { readonly bodyBytes: number };
  readonly bodyBudget: BodyBudget;
  readonly log: Logger;
}

/** A request of which each line is a message. */
export interface BulkRequest {
  readonly req: IncomingMessage;
  readonly record: RequestRecord;
  /** Without the ids, which go by the line. */
  readonly context: Omit<MessageContext, 'createId'>;
  readonly isDryRun: boolean;
}

/** How many lines of a request are on their way at the same time: enough to keep a server busy. */
const maxAtOnce = 256;

/** The same in bytes, unless a single line, or its answer, has more. */
const maxBytesAtOnce = 1024 * 1024;

/** How long a connection may be idle while no line is on its way, in milliseconds. */
const idleMs = 30_000;

/**
 * Answers a request line by line, in the order in which the fates are known: 207, and a last line with
 * the counts. Lines are read as fast as they are delivered and as their answers are taken.
 */
export function answerBulk(ports: BulkPorts, request: BulkRequest): StreamedAnswer {
  const headers = { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' };
  return { status: 207, headers, parts: answerLines(ports, request) };
}

async function* answerLines(ports: BulkPorts, request: BulkRequest): AsyncGenerator<string> {
  const { req, record } = request;
  const counts = { lines: 0, accepted: 0, refused: 0 };
  record.counts = counts;
  const { socket } = req;
  const { hungUp, stop } = watchHangUp(socket);
  const context = {
    ...request.context,
    caller: `${request.context.caller} (bulk)`,
    createId: (): string => randomUUID(),
  };
  const ofLines = { ...request, context, keyCaller: request.context.caller, hungUp };
  const answer = (line: Line): Promise<string> => {
    counts.lines += 1;
    const { number } = line;
    return answerLine(ports, ofLines, line).then((found) => {
      counts[found.status === 200 ? 'accepted' : 'refused'] += 1;
      return toLine(number, found);
    });
  };
  const onIdle = (isIdle: boolean): void => void socket.setTimeout(isIdle ? idleMs : 0);
  const limits = {
    maxBytes: ports.limits.bodyBytes,
    budget: ports.bodyBudget,
    caller: request.context.caller,
  };
  const lines = readLines(req, limits, ports.stopping);
  try {
    // What a dry run shows of a list may be a hundred times its line.
    const atOnce = request.isDryRun ? 1 : maxAtOnce;
    yield* new LineAnswers(answer, onIdle, atOnce).to(lines);
    record.code = counts.refused === 0 ? 'ok' : 'partial';
    yield `${JSON.stringify(counts)}\n`;
  } finally {
    stop();
    onIdle(true);
  }
}

/** What the lines of a request have in common. */
interface LineRequest {
  readonly record: RequestRecord;
  /** For a line without a key. */
  readonly context: MessageContext;
  /** Whose keys they are. */
  readonly keyCaller: string;
  readonly isDryRun: boolean;
  readonly hungUp: AbortSignal;
}

/** Not async: the bytes of a line must not stay in memory while its message waits for the XMPP server. */
function answerLine(ports: BulkPorts, common: LineRequest, line: Line): Promise<Answer> {
  const { id } = common.record;
  const refuse = (error: unknown): Answer => {
    if (!(error instanceof GatewayError)) {
      ports.log.error({ err: error, request: id }, 'internal error');
    }
    return buildRefusal(error, id);
  };
  try {
    const request = readRequest(common, line, ports.limits.bodyBytes);
    if (common.isDryRun) return preview(ports, request).catch(refuse);
    return send(ports, request)
      .then(({ answer, complete }) => complete?.(common.hungUp) ?? answer)
      .catch(refuse);
  } catch (error) {
    return Promise.resolve(refuse(error));
  }
}

/** Throws GatewayError: `too-large`, `overloaded`, or as a single message would be refused. */
function readRequest(
  { record, context, keyCaller: caller }: LineRequest,
  { bytes }: Line,
  maxBytes: number,
): ValidRequest {
  if (typeof bytes === 'string') throw notKept(bytes, maxBytes);
  const { message, key: text, waitSeconds } = takeOwnFields(parseJson(decodeUtf8(bytes)));
  const key = text === undefined ? undefined : { caller, key: text };
  const parsed = readSubmission(message, key === undefined ? context : withKey(context, key));
  const use = key && useKey(key, [context.from.toString(), 'lines', bytes]);
  // Of a list one after the other, because other lines are under way meanwhile.
  return { parsed, use, id: record.id, atOnce: 1, waitSeconds };
}

function notKept(code: 'too-large' | 'overloaded', maxBytes: number): GatewayError {
  const detail =
    code === 'too-large'
      ? `Expected a line of at most ${maxBytes} bytes, got more.`
      : 'Nothing was sent: too many lines and bodies are being read. Send the message again later.';
  return new GatewayError(code, detail);
}

/** Separates what only a line can have from its message; throws GatewayError `invalid-message`. */
function takeOwnFields(value: unknown): {
  readonly message: unknown;
  readonly key: string | undefined;
  readonly waitSeconds: number | undefined;
} {
  if (!isRecord(value) || !('idempotency_key' in value || 'wait' in value)) {
    return { message: value, key: undefined, waitSeconds: undefined };
  }
  const { idempotency_key: key, wait, ...message } = value;
  return {
    message,
    key: key === undefined ? undefined : parseKey(key, '/idempotency_key'),
    waitSeconds: readWait(wait),
  };
}

/** The ids of a line with a key go by the key. */
function withKey(context: MessageContext, key: CallerKey): MessageContext {
  const createId = (listed?: Jid): string =>
    deriveStanzaId(listed === undefined ? key : keyFor(key, listed));
  return { ...context, createId };
}

/** Puts the number before the members of an answer, and the numeric status in place of a word. */
function toLine(number: number, { status, contentType, body }: Answer): string {
  if (!contentType.endsWith('json')) {
    return `${JSON.stringify({ line: number, status, stanza: body })}\n`;
  }
  const members = body.replace(/^\{(?:"status":"\w+",)?/, '');
  const own = members.length === body.length - 1 ? '' : `"status":${status},`;
  return `{"line":${number},${own}${members}`;
}

/**
 * Answers lines, up to `atOnce` and `maxBytesAtOnce` at the same time, in the order in which the
 * answers come. A line whose answer was not taken yet counts with the bytes of the answer.
 */
class LineAnswers {
  readonly #answer: (line: Line) => Promise<string>;
  readonly #onIdle: (isIdle: boolean) => void;
  readonly #atOnce: number;
  readonly #reader = new Wakeup();
  readonly #writer = new Wakeup();
  #ready: string[] = [];
  #underWay = 0;
  #bytes = 0;
  #hasEnded = false;
  #isOver = false;

  /** `onIdle` hears when no line is on its way, and when there is one again. */
  constructor(
    answer: (line: Line) => Promise<string>,
    onIdle: (isIdle: boolean) => void,
    atOnce: number,
  ) {
    this.#answer = answer;
    this.#onIdle = onIdle;
    this.#atOnce = atOnce;
  }

  /** Yields the answers; rejects, after those to what was read, when the reading does. */
  async *to(batches: AsyncIterable<Iterable<Line>>): AsyncGenerator<string> {
    const reading = this.#read(batches);
    reading.catch(() => undefined);
    try {
      while (!this.#hasEnded || this.#underWay + this.#ready.length > 0) {
        if (this.#ready.length === 0) {
          await this.#writer.wait();
          continue;
        }
        const text = this.#ready.join('');
        this.#ready = [];
        this.#bytes -= text.length;
        this.#reader.wake();
        yield text;
      }
      await reading;
    } finally {
      this.#isOver = true;
      this.#reader.wake();
    }
  }

  async #read(batches: AsyncIterable<Iterable<Line>>): Promise<void> {
    try {
      for await (const batch of batches) {
        for (const line of batch) {
          while (this.#isFull()) await this.#reader.wait();
          if (this.#isOver) return;
          this.#start(line);
        }
      }
    } finally {
      this.#hasEnded = true;
      this.#writer.wake();
    }
  }

  #isFull(): boolean {
    const isFull =
      this.#underWay + this.#ready.length >= this.#atOnce || this.#bytes >= maxBytesAtOnce;
    return isFull && !this.#isOver;
  }

  #start(line: Line): void {
    this.#underWay += 1;
    this.#bytes += line.bytes.length;
    if (this.#underWay === 1) this.#onIdle(false);
    const lineBytes = line.bytes.length;
    void this.#answer(line).then((text) => this.#finish(lineBytes, text));
  }

  #finish(lineBytes: number, text: string): void {
    this.#ready.push(text);
    this.#underWay -= 1;
    // An answer may be larger than its line: a dry run repeats the text for each recipient.
    this.#bytes += text.length - lineBytes;
    this.#reader.wake();
    if (this.#underWay === 0) this.#onIdle(true);
    this.#writer.wake();
  }
}
