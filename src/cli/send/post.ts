import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { describeError } from '../../core/text.ts';

/** The answer to a POST. */
export interface PostAnswer {
  readonly status: number;
  /** The value of Retry-After, or ''. */
  readonly retryAfter: string;
  readonly text: string;
}

/** There was no answer; the message says why. */
export class PostFailure extends Error {
  override readonly name = 'PostFailure';
  /** Whether the request may have been sent. */
  readonly wasConnected: boolean;

  constructor(cause: unknown, wasConnected: boolean) {
    super(describeError(cause), { cause });
    this.wasConnected = wasConnected;
  }
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
    const fail = (error: unknown): void => reject(new PostFailure(error, wasConnected));
    const outgoing = open(url, headers);
    const deadline = setTimeout(() => {
      outgoing.destroy(new Error(`none within ${Math.ceil(timeoutMs / 1000)} s`));
    }, timeoutMs);
    outgoing.once('close', () => clearTimeout(deadline));
    outgoing.once('socket', (socket) => {
      socket.once(url.startsWith('https:') ? 'secureConnect' : 'connect', () => {
        wasConnected = true;
      });
    });
    outgoing.once('error', fail);
    outgoing.once('response', (response) => {
      collectAnswer(response).then(resolve, fail);
    });
    outgoing.end(body);
  });
}

function open(url: string, headers: Readonly<Record<string, string>>): ClientRequest {
  const options = {
    method: 'POST',
    agent: false,
    headers: { ...headers, 'Content-Type': 'application/json' },
  };
  return url.startsWith('https:') ? requestHttps(url, options) : requestHttp(url, options);
}

async function collectAnswer(response: IncomingMessage): Promise<PostAnswer> {
  const body = await readAtMost(response, maxAnswerBytes);
  if (body === undefined) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'] ?? '',
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
