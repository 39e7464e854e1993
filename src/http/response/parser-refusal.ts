import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { sendRefusal } from './refuse.ts';

const statusByCode = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_HEADER_OVERFLOW', 431],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);

/**
 * Answers what is no HTTP request, or not one in time, and closes the connection; `responses` are
 * those that are being made on it, the oldest first. Returns the status, if it could be answered.
 */
export function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  responses: readonly ServerResponse[],
): number | undefined {
  const pending = responses.findLast((response) => response.req.complete);
  if (pending) {
    // garbage behind a good request must neither take its answer away nor come before it
    if (!pending.headersSent) pending.setHeader('Connection', 'close');
    // its answer has promised that the connection goes on
    else pending.once('close', () => refuseMalformed(error, socket, []));
  } else if (!socket.writable || !isHttp(error)) {
    socket.destroy();
  } else if (responses[0]?.headersSent) {
    // it was refused at its head: that answer must not be cut off
    socket.end(() => socket.destroy());
  } else {
    const status = statusByCode.get(error.code ?? '') ?? 400;
    refuseConnection(socket, status);
    return status;
  }
  return undefined;
}

/** Else it is a reset, or a failed TLS handshake, after which nobody would understand an answer. */
function isHttp({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' || code?.startsWith('HPE_') === true;
}

/** How long in milliseconds a body that nobody parses may still come before the connection is closed. */
const lingerMs = 1000;

/** Answers a request with a bare problem, in its turn, and closes the connection after it. */
export function refuseRequest(req: IncomingMessage, res: ServerResponse, status: number): void {
  const headers = { 'Content-Type': 'application/problem+json', Connection: 'close' };
  const body = buildBareProblem(status);
  if (req.complete) {
    sendRefusal(req, res, status, headers, body);
    return;
  }
  // Its end cannot be waited for; closed at once over unread data, the socket would be reset.
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  res.write(body);
  const lingering = setTimeout(() => res.end(), lingerMs);
  res.once('close', () => clearTimeout(lingering));
}

/** Answers with a bare problem and closes the connection. */
export function refuseConnection(socket: Duplex, status: number): void {
  const body = buildBareProblem(status);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

/** RFC 9457 §4.2.1 */
function buildBareProblem(status: number): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status });
}
