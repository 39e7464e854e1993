import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { sendAnswer } from '../response/answer.ts';

/** The parts of a request that are checked before its target is looked at. */
export type RequestHead = Pick<IncomingMessage, 'httpVersion' | 'headers' | 'rawHeaders'>;

/** Maximum number of header lines in a request. */
export const maxHeaders = 100;

/** Why the head of a request is refused: the status, and a phrase for the log. */
export interface HeadRefusal {
  readonly status: number;
  readonly reason: string;
}

/** Node keeps the first if one of these is repeated; a proxy in front of us may have read the last. */
const singular = new Map([
  ['host', 1],
  ['authorization', 2],
  ['content-type', 4],
]);

/** RFC 9110 §7.2: a name or an address, and a port. */
const hostFormat = /^(?:\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(?::\d*)?$/i;

/**
 * Finds the reason to refuse a request that Node's parser accepts but that a proxy in front of us may
 * understand differently (RFC 9112 §11.2); undefined if there is none.
 */
export function findHeadRefusal({
  httpVersion,
  headers,
  rawHeaders,
}: RequestHead): HeadRefusal | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return { status: 505, reason: 'unknown version of HTTP' };
  }
  if (rawHeaders.length > 2 * maxHeaders) return { status: 431, reason: 'too many header lines' };
  // RFC 9112 §3.2
  if (httpVersion === '1.1' && headers.host === undefined) return badRequest('no Host header');
  if (!hostFormat.test(headers.host ?? '')) return badRequest('malformed Host header');
  if (hasRepeated(rawHeaders)) return badRequest('repeated header');
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  // RFC 9112 §6.1
  if (httpVersion === '1.0' || coding === '') return badRequest('unexpected Transfer-Encoding');
  if (coding.toLowerCase() === 'chunked') return undefined;
  return { status: 501, reason: 'unknown Transfer-Encoding' };
}

function badRequest(reason: string): HeadRefusal {
  return { status: 400, reason };
}

function hasRepeated(rawHeaders: readonly string[]): boolean {
  let seen = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const bit = singular.get(rawHeaders[index]?.toLowerCase() ?? '') ?? 0;
    if ((seen & bit) !== 0) return true;
    seen |= bit;
  }
  return false;
}

const statusByCode = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_HEADER_OVERFLOW', 431],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);

/**
 * Refuses what is not an HTTP request, or did not become one in time, and closes the connection;
 * `responses` are the unfinished ones on it, the oldest first. Returns the status if an answer could
 * be sent.
 */
export function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  responses: readonly ServerResponse[],
): number | undefined {
  const pending = responses.findLast((response) => response.req.complete);
  if (pending) {
    // Garbage after a good request must neither replace its answer nor be answered before it.
    if (!pending.headersSent) pending.setHeader('Connection', 'close');
    // That answer has already announced that the connection stays open.
    else pending.once('close', () => refuseMalformed(error, socket, []));
  } else if (!socket.writable || !isHttp(error)) {
    socket.destroy();
  } else if (responses[0]?.headersSent) {
    // Its head was refused already, and that answer must not be cut off.
    socket.end(() => socket.destroy());
  } else {
    const status = statusByCode.get(error.code ?? '') ?? 400;
    refuseConnection(socket, status);
    return status;
  }
  return undefined;
}

/** Any other error is a reset or a failed TLS handshake: the client could not read an answer. */
function isHttp({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' || code?.startsWith('HPE_') === true;
}

/** How long an unparsed body may still arrive before the connection is closed, in milliseconds. */
const lingerMs = 1000;

/** Answers a request with a bare problem, after the answers before it, and closes the connection. */
export function refuseRequest(req: IncomingMessage, res: ServerResponse, status: number): void {
  const headers = { 'Content-Type': 'application/problem+json', Connection: 'close' };
  const body = buildBareProblem(status);
  if (req.complete) {
    sendAnswer(req, res, { status, headers, body });
    return;
  }
  // The end of its body cannot be recognised; closing at once with unread data would reset the socket.
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

/** RFC 9457 §4.2.1. */
function buildBareProblem(status: number): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status });
}
