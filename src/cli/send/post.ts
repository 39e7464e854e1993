import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { describeError } from '../../core/text.ts';

/** What came back. */
export interface PostAnswer {
  readonly status: number;
  /** The header's value; empty without one. */
  readonly retryAfter: string;
  readonly text: string;
}

/** No answer came; the message says why. */
export class PostFailure extends Error {
  override readonly name = 'PostFailure';
  /** Whether the request may have gone out. */
  readonly wasConnected: boolean;

  constructor(cause: unknown, wasConnected: boolean) {
    super(describeError(cause), { cause });
    this.wasConnected = wasConnected;
  }
}

/** More than the gateway ever answers. */
const maxAnswerBytes = 1_048_576;

/** Posts JSON on a connection of its own and reads the answer; rejects with PostFailure. */
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
      readAnswer(response).then(resolve, fail);
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

async function readAnswer(response: IncomingMessage): Promise<PostAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxAnswerBytes) throw new Error(`more than ${maxAnswerBytes} bytes`);
    chunks.push(bytes);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'] ?? '',
    text: Buffer.concat(chunks).toString('utf8'),
  };
}
