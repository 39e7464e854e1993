import { once } from 'node:events';
import { connect } from 'node:net';
import { hangMs } from '../system/wait.ts';
import { buildAnswer, type HttpAnswer } from './http.ts';

/** A TCP connection that writes any bytes, well-formed HTTP or not. */
export interface RawConnection {
  write(bytes: string | Uint8Array): void;
  /** The next answer; `head` when it answers HEAD. Rejects when the connection ends first. */
  answer(head?: boolean): Promise<HttpAnswer>;
  /** What was received and not yet read as an answer. */
  unread(): string;
  /** Resolves once the connection is closed, with what is unread. */
  readonly closed: Promise<string>;
  readonly isClosed: () => boolean;
  /** Closes the sending half. */
  end(): void;
  destroy(): void;
  reset(): void;
}

/** Connects to a port on loopback. */
export async function connectRaw(port: number): Promise<RawConnection> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  let received: Buffer = Buffer.alloc(0);
  let isClosed = false;
  let wake: (() => void) | undefined;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    wake?.();
  });
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => {
      isClosed = true;
      wake?.();
      resolve(received.toString('utf8'));
    });
  });
  const answer = async (head = false): Promise<HttpAnswer> => {
    for (;;) {
      const parsed = parseAnswer(received, head);
      if (parsed !== undefined) {
        received = received.subarray(parsed.length);
        return parsed.answer;
      }
      if (isClosed) throw new Error(`closed after ${JSON.stringify(received.toString('latin1'))}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    write: (bytes) => void socket.write(bytes),
    answer,
    unread: () => received.toString('utf8'),
    closed,
    isClosed: () => isClosed,
    end: () => void socket.end(),
    destroy: () => socket.destroy(),
    reset: () => void socket.resetAndDestroy(),
  };
}

function parseAnswer(
  bytes: Buffer,
  head: boolean,
): { answer: HttpAnswer; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  if (Number.isNaN(status)) throw new Error(`expected a status line, got ${statusLine}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  // Only Node.js itself sends chunks, and then only the last, empty one.
  const isChunked = headers['transfer-encoding'] === 'chunked';
  const declared = isChunked ? '0\r\n\r\n'.length : Number(headers['content-length'] ?? 0);
  const length = headEnd + 4 + (head || status < 200 ? 0 : declared);
  if (bytes.length < length) return undefined;
  const body = isChunked ? '' : bytes.toString('utf8', headEnd + 4, length);
  return { answer: buildAnswer(status, headers, body), length };
}

/** One keep-alive connection for requests as they are: nothing is checked or added. */
export interface HttpConnection {
  /**
   * Writes one request and reads its only answer; rejects when the connection ends first, or after
   * `hangMs`. For one request at a time; connects again when the peer has closed.
   */
  exchange(request: Buffer): Promise<HttpAnswer>;
  destroy(): void;
}

/** Connects with the first request. */
export function createHttpConnection(port: number): HttpConnection {
  let raw: RawConnection | undefined;

  const readFinalAnswer = async (from: RawConnection, isHead: boolean): Promise<HttpAnswer> => {
    let answer = await from.answer(isHead);
    while (answer.status < 200) answer = await from.answer(isHead);
    const isClosing = answer.headers.connection === 'close';
    if (isClosing) raw = undefined;
    // A request that cannot be parsed is answered with a body even if its method was HEAD.
    if (from.unread() !== '' && !(isHead && isClosing)) {
      throw new Error(`expected one answer, got more: ${from.unread()}`);
    }
    return answer;
  };
  return {
    exchange: async (request) => {
      if (raw === undefined || raw.isClosed()) raw = await connectRaw(port);
      const used = raw;
      let isLate = false;
      const deadline = setTimeout(() => {
        isLate = true;
        used.destroy();
      }, hangMs);
      try {
        used.write(request);
        return await readFinalAnswer(used, request.toString('latin1', 0, 5) === 'HEAD ');
      } catch (error) {
        used.destroy();
        throw isLate ? new Error(`no answer within ${hangMs} ms`) : error;
      } finally {
        clearTimeout(deadline);
      }
    },
    destroy: () => raw?.destroy(),
  };
}
