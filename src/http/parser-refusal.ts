import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

const statusByCode = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_HEADER_OVERFLOW', 431],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);

/**
 * Answers what is no HTTP request, or not one in time, and closes the connection; `responses` are
 * those that are being made on it, the oldest first.
 */
export function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  responses: readonly ServerResponse[],
): void {
  const pending = responses.findLast((response) => response.req.complete);
  if (pending) {
    // garbage behind a good request must neither take its answer away nor come before it
    if (!pending.headersSent) pending.setHeader('Connection', 'close');
  } else if (responses[0]?.headersSent || !socket.writable || !isHttp(error)) {
    socket.destroy();
  } else {
    refuseConnection(socket, statusByCode.get(error.code ?? '') ?? 400);
  }
}

/** Else it is a reset, or a failed TLS handshake, after which nobody would understand an answer. */
function isHttp({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' || code?.startsWith('HPE_') === true;
}

/** Answers with a bare problem (RFC 9457 §4.2.1) and closes the connection. */
export function refuseConnection(socket: Duplex, status: number): void {
  const title = STATUS_CODES[status] ?? '';
  const body = JSON.stringify({ type: 'about:blank', title, status });
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
