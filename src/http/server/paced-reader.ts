import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Turns } from './turns.ts';

/** Gives Node's HTTP parser what comes on one connection, request by request. */
export interface PacedReader {
  /** Runs `begin` when all earlier answers on the connection have been taken. */
  add(res: ServerResponse, begin: () => void): void;
  /** Reads no further request, and begins none of those that are waiting. */
  end(): void;
  /** Reads no further request; those that are waiting are still begun. */
  stopReading(): void;
  /** Gives up what is held, and the connection: at once, or after the answer under way. */
  giveUp(): void;
  /** Whether a part of the request under way is held, not only requests after it. */
  isWithinRequest(): boolean;
}

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly begin: () => void;
  isAnswered: boolean;
}

const endOfHead = '\r\n\r\n';
/** The shortest request is `GET / HTTP/1.1` and an empty line. */
const shortestRequest = 18;
/** A body may be full of empty lines: each piece of it should be worth a call of the parser. */
const shortestPieceOfBody = 256;
/** Of a body that nobody reads yet: enough for most, so that they are there when they are wanted. */
const unreadBodyBytes = 4096;
/** Pieces that are parsed in one turn. */
const maxPieces = 64;
/** What still comes on a connection that is about to close is thrown away, so that it is not reset. */
const maxDiscardedBytes = 1024 * 1024;

/**
 * Takes over the reading of a connection of an HTTP server, just after the server has taken it.
 * Node parses all that one read has brought, thousands of requests, and starts them all. Here the
 * parser gets the bytes up to the end of a head, and nothing more until that request was answered
 * and the answer taken by the socket; of a body it gets what the request's handler reads. The rest
 * is held as it came, and nothing is read meanwhile. `onHeld` hears how many bytes are held.
 */
export function createPacedReader(
  socket: Socket,
  turns: Turns,
  onHeld: (bytes: number) => void,
): PacedReader {
  const exchanges: Exchange[] = [];
  let held: Buffer[] = [];
  let heldBytes = 0;
  let discardedBytes = 0;
  let isOver = false;
  let hasEnded = false;
  let isScheduled = false;
  let isRefused = false;
  let isProven = false;

  const parse = takeOver(socket, 'data', (chunk: Buffer) => {
    if (isOver) {
      discardedBytes += chunk.length;
      if (discardedBytes > maxDiscardedBytes) socket.pause();
      return;
    }
    held.push(chunk);
    heldBytes += chunk.length;
    if (!isScheduled) readOn();
  });
  const finish = takeOver(socket, 'end', () => {
    hasEnded = true;
    finishIfDone();
  });
  socket.on('resume', pauseIfHolding);
  socket.once('close', () => {
    exchanges.length = 0;
    discard();
  });

  /** Hands over as much as may be handed over now. */
  function readOn(): void {
    isScheduled = false;
    let pieces = 0;
    while (heldBytes > 0 && isWanted()) {
      if (pieces === maxPieces) {
        schedule();
        break;
      }
      pieces += 1;
      parse(takePiece());
      removeAnswered();
    }
    onHeld(heldBytes + (heldBytes > 0 ? socket.readableLength : 0));
    if (heldBytes > 0) process.nextTick(pauseIfHolding);
    else if (socket.isPaused() && !isOver) socket.resume();
    finishIfDone();
  }

  function schedule(): void {
    if (isScheduled || isOver) return;
    isScheduled = true;
    turns.add(readOn, isProven);
  }

  function isWanted(): boolean {
    const last = exchanges.at(-1);
    if (last === undefined) return true;
    const { req } = last;
    if (req.complete || exchanges.length > 1) return false;
    if (req.readableFlowing === true) return true;
    const isChunked = req.headers['transfer-encoding'] !== undefined;
    if (!isChunked && heldBytes + req.readableLength <= unreadBodyBytes) return true;
    req.once('resume', readOn);
    return false;
  }

  /** Up to the end of the next head, so that only the shortest requests can come together. */
  function takePiece(): Buffer {
    const [chunk = Buffer.of()] = held;
    const least = exchanges.length === 0 ? shortestRequest : shortestPieceOfBody;
    const found = chunk.indexOf(endOfHead, least - endOfHead.length);
    const length = found === -1 ? chunk.length : found + endOfHead.length;
    if (length === chunk.length) held.shift();
    else held[0] = chunk.subarray(length);
    heldBytes -= length;
    return chunk.subarray(0, length);
  }

  /** Not at once: Node resumes a socket in the tick after the end of a request. */
  function pauseIfHolding(): void {
    if (heldBytes > 0 && socket.readableFlowing === true) socket.pause();
  }

  function removeAnswered(): void {
    const [first] = exchanges;
    if (first === undefined || !first.isAnswered || !first.req.complete) return;
    exchanges.shift();
    beginFirst();
  }

  function beginFirst(): void {
    const [first] = exchanges;
    if (first === undefined) return;
    const { method, headers } = first.req;
    const mayBeMessage = method !== 'GET' && method !== 'HEAD';
    isProven = mayBeMessage && headers.authorization !== undefined && !isRefused;
    turns.add(() => {
      if (exchanges[0] === first) first.begin();
    }, isProven);
  }

  function onAnswered(exchange: Exchange): void {
    exchange.isAnswered = true;
    isRefused = exchange.res.statusCode >= 400;
    isProven &&= !isRefused;
    removeAnswered();
    if (heldBytes > 0) schedule();
    finishIfDone();
  }

  /** The client has closed its half: the other half is for the answers. */
  function finishIfDone(): void {
    if (!hasEnded || isOver || heldBytes > 0) return;
    if (exchanges.at(-1)?.req.complete === true) return;
    isOver = true;
    finish();
  }

  function discard(): void {
    isOver = true;
    held = [];
    heldBytes = 0;
    onHeld(0);
    // What still comes is to be thrown away, not left unread: the socket would be reset.
    if (!socket.destroyed && socket.isPaused()) socket.resume();
  }

  return {
    add(res, begin) {
      if (isOver) return;
      const exchange = { req: res.req, res, begin, isAnswered: false };
      exchanges.push(exchange);
      res.once('close', () => onAnswered(exchange));
      if (exchanges.length === 1) beginFirst();
    },
    end() {
      exchanges.splice(1);
      discard();
    },
    stopReading: discard,
    giveUp() {
      const last = exchanges.at(-1);
      discard();
      if (last === undefined || !last.req.complete || last.res.headersSent) socket.destroy();
      else last.res.setHeader('Connection', 'close');
    },
    isWithinRequest: () => exchanges.at(-1)?.req.complete !== true,
  };
}

/** Puts a listener in the place of the one that Node's HTTP server has just added; returns that. */
function takeOver<T extends unknown[]>(
  socket: Socket,
  event: 'data' | 'end',
  listener: (...args: T) => void,
): (...args: T) => void {
  const replaced = socket.listeners(event).at(-1);
  if (replaced === undefined) throw new Error(`expected a listener for ${event}`);
  const call = (...args: T): void => void Reflect.apply(replaced, socket, args);
  // The new one first: it ends the parser's own reading past the socket.
  socket.on(event, listener);
  Reflect.apply(socket.removeListener, socket, [event, replaced]);
  return call;
}
