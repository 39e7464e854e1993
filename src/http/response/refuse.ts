import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** Most of an unwanted body that is read for the client's sake, each piece at its cost, and how long. */
const maxDrainedBytes = 16 * 1024 * 1024;
const maxDrainMs = 10_000;

/** What each piece costs besides its bytes: a body may come in pieces of one byte. */
export const bytesPerPiece = 1024;

/**
 * Answers at once, though the body may still be on its way, and only ends the response when the rest
 * of the body was thrown away: a socket closed over unread data is reset, and the client would see
 * that instead of the answer. Whoever sends on beyond the bounds is cut off.
 */
export function sendRefusal(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): void {
  clearHeaders(res);
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  if (req.readableEnded || req.destroyed) {
    res.end(body);
    return;
  }
  res.write(body);
  res.flushHeaders();
  drain(req, () => res.end());
}

/** A connection that is about to close must go on saying so. */
function clearHeaders(res: ServerResponse): void {
  for (const name of res.getHeaderNames()) {
    if (name !== 'connection') res.removeHeader(name);
  }
}

function drain(req: IncomingMessage, done: () => void): void {
  let bytes = 0;
  const deadline = setTimeout(() => req.destroy(), maxDrainMs);
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length + bytesPerPiece;
    if (bytes > maxDrainedBytes) req.destroy();
  });
  req.once('end', done);
  req.once('close', () => clearTimeout(deadline));
  req.resume();
}

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
