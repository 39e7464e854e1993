import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { PostFailure } from './failure.ts';

/** The answer to a POST. */
export interface PostAnswer {
  readonly status: number;
  /** The value of Retry-After, or ''. */
  readonly retryAfter: string;
  /** The URL that a redirect leads to, or ''. */
  readonly location: string;
  readonly text: string;
}

/** The gateway's answers are much smaller. */
const maxAnswerBytes = 1_048_576;

/**
 * Posts JSON on a new connection and reads the answer; rejects with PostFailure. It does not use `fetch`,
 * which does not tell whether a request that timed out had a connection: only then may it have been sent.
 */
export function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  timeoutMs: number,
): Promise<PostAnswer> {
  return new Promise((resolve, reject) => {
    let wasConnected = false;
    const outgoing = open(url, { ...headers, 'Content-Type': 'application/json' });
    const fail = (error: unknown): void =>
      reject(new PostFailure(error, outgoing.protocol, wasConnected));
    const deadline = setTimeout(() => {
      outgoing.destroy(new Error(`none within ${Math.ceil(timeoutMs / 1000)} s`));
    }, timeoutMs);
    outgoing.once('close', () => clearTimeout(deadline));
    onceConnected(outgoing, () => {
      wasConnected = true;
    });
    outgoing.once('error', fail);
    outgoing.once('response', (response) => {
      collectAnswer(response, url).then(resolve, fail);
    });
    outgoing.end(body);
  });
}

/** Opens a POST on a new connection. */
function open(url: string, headers: Readonly<Record<string, string>>): ClientRequest {
  const options = { method: 'POST', agent: false, headers };
  return url.startsWith('https:') ? requestHttps(url, options) : requestHttp(url, options);
}

function onceConnected(outgoing: ClientRequest, listener: () => void): void {
  const event = outgoing.protocol === 'https:' ? 'secureConnect' : 'connect';
  outgoing.once('socket', (socket) => socket.once(event, listener));
}

async function collectAnswer(response: IncomingMessage, url: string): Promise<PostAnswer> {
  const body = await readAtMost(response, maxAnswerBytes);
  if (body === undefined) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
  const { location, 'retry-after': retryAfter = '' } = response.headers;
  return {
    status: response.statusCode ?? 0,
    retryAfter,
    // It may be relative to the URL (RFC 9110 §10.2.2).
    location:
      location !== undefined && URL.canParse(location, url) ? new URL(location, url).href : '',
    text: body.toString('utf8'),
  };
}

/** Reads a stream to its end; resolves with undefined if it has more than `maxBytes`. */
export async function readAtMost(
  stream: AsyncIterable<string | Buffer>,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxBytes) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** What a BulkPost reports. */
export interface BulkPostEvents {
  /** A line of the answer, without its line end. */
  readonly onLine: (line: string) => void;
  /** More can be written. */
  readonly onRoom: () => void;
  /** It is over: undefined after a whole answer, else the refusal of all, or why there is no answer. */
  readonly onClose: (end: PostAnswer | PostFailure | undefined) => void;
}

/** How long to wait for `100 Continue` before the body is sent anyway (RFC 9110 §10.1.1). */
const continueMs = 1000;

/** A POST of many lines (NDJSON), whose answer is read while they are sent. */
export class BulkPost {
  readonly #outgoing: ClientRequest;
  readonly #events: BulkPostEvents;
  #continueTimer: NodeJS.Timeout | undefined;
  #wasConnected = false;
  #hasRoom = false;
  #isOver = false;

  constructor(url: string, headers: Readonly<Record<string, string>>, events: BulkPostEvents) {
    this.#events = events;
    this.#outgoing = open(url, {
      ...headers,
      'Content-Type': 'application/x-ndjson',
      // Without it, a refusal could get lost when the gateway closes a connection that is being written to.
      Expect: '100-continue',
    });
    onceConnected(this.#outgoing, () => {
      this.#wasConnected = true;
      this.#continueTimer = setTimeout(() => this.#makeRoom(), continueMs);
    });
    this.#outgoing.once('continue', () => this.#makeRoom());
    this.#outgoing.on('drain', () => this.#makeRoom());
    this.#outgoing.on('error', (error) => this.#fail(error));
    this.#outgoing.once('response', (response) => void this.#read(response, url));
  }

  /** Whether `write` would not have to buffer. */
  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  write(line: Buffer): void {
    this.#hasRoom = this.#outgoing.write(line);
  }

  /** Writes no further line. */
  end(): void {
    this.#hasRoom = false;
    this.#outgoing.end();
  }

  destroy(reason: string): void {
    this.#outgoing.destroy(new Error(reason));
  }

  #makeRoom(): void {
    clearTimeout(this.#continueTimer);
    if (this.#isOver || this.#outgoing.writableEnded) return;
    this.#hasRoom = true;
    this.#events.onRoom();
  }

  async #read(response: IncomingMessage, url: string): Promise<void> {
    try {
      const type = response.headers['content-type'] ?? '';
      if (response.statusCode !== 207 || !type.includes('ndjson')) {
        this.#close(await collectAnswer(response, url));
      } else {
        await this.#readLines(response);
        this.#close(undefined);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #readLines(response: IncomingMessage): Promise<void> {
    let kept = '';
    for await (const text of response.setEncoding('utf8')) {
      const lines = (kept + String(text)).split('\n');
      kept = lines.pop() ?? '';
      if (kept.length > maxAnswerBytes) throw new Error('a line of the answer is too long');
      for (const line of lines) if (!this.#isOver) this.#events.onLine(line);
    }
  }

  #fail(error: unknown): void {
    this.#close(new PostFailure(error, this.#outgoing.protocol, this.#wasConnected));
  }

  #close(end: PostAnswer | PostFailure | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hasRoom = false;
    clearTimeout(this.#continueTimer);
    // A gateway that stops answers before the request has ended.
    if (!this.#outgoing.writableFinished) this.#outgoing.destroy();
    this.#events.onClose(end);
  }
}
