import http, { type IncomingHttpHeaders } from 'node:http';
import net from 'node:net';

/** One answer as it came over the wire. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface HttpRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Sends one request on a connection of its own. */
export function send(port: number, request: HttpRequest): Promise<HttpAnswer> {
  const { method = 'GET', path = '/', body } = request;
  const headers: Record<string, string | number> = { ...request.headers };
  if (body !== undefined && !('Transfer-Encoding' in headers)) {
    headers['Content-Length'] = Buffer.byteLength(body);
  }
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      { host: '127.0.0.1', port, method, path, headers, agent: false },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A TCP connection that sends whatever it is told to. */
export interface RawConnection {
  write(bytes: string | Uint8Array): void;
  /** The next answer; `head` when it is one to HEAD. Rejects when the connection ends before it. */
  answer(head?: boolean): Promise<HttpAnswer>;
  /** Resolves when the peer has closed the connection, with what was received but not yet taken. */
  readonly closed: Promise<string>;
  readonly isClosed: () => boolean;
  /** Closes the sending half. */
  end(): void;
  destroy(): void;
  reset(): void;
}

export async function connectRaw(port: number): Promise<RawConnection> {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let received = Buffer.alloc(0);
  let isClosed = false;
  let wake: (() => void) | undefined;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
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
  const headers: IncomingHttpHeaders = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const status = Number(statusLine.split(' ')[1]);
  const bodyLength = head || status < 200 ? 0 : Number(headers['content-length'] ?? 0);
  const length = headEnd + 4 + bodyLength;
  if (bytes.length < length) return undefined;
  return { answer: { status, headers, text: bytes.toString('utf8', headEnd + 4, length) }, length };
}
