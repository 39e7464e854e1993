import type { IncomingMessage, ServerResponse } from 'node:http';

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
