import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Turns } from './turns.ts';

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly begin: () => void;
  isAnswered: boolean;
}

const endOfHead = '\r\n\r\n';
const lineFeed = 0x0a;
/** The shortest request is `GET / HTTP/1.1` and an empty line. */
const shortestRequest = 18;
/** A chunked body may be full of empty lines; each piece of it must be worth a call of the parser. */
const shortestPieceOfBody = 256;
/** How much of a chunked body is parsed per turn. */
const longestPieceOfChunks = 4096;
/** How many line ends there may be in that: a chunk has two, and takes as much time as a short request. */
const maxLineEnds = 64;
/** How much is parsed of a body that is not being read yet: enough to have most bodies at hand. */
const unreadBodyBytes = 4096;
/** Pieces parsed per turn. */
const maxPieces = 64;
/** How much is read and discarded on a connection that is about to close, so that it is not reset. */
const maxDiscardedBytes = 1024 * 1024;

/**
 * Takes over the reading of a connection of an HTTP server, just after the server has accepted it,
 * and feeds Node's HTTP parser request by request. Node itself parses everything that a read returns,
 * possibly thousands of requests, and starts them all. Here the parser gets the bytes up to the end of
 * a head, and no more until that request has been answered and the socket has accepted the answer; of
 * a body it gets what the handler of the request reads. The rest is held as it arrived, and meanwhile
 * the socket is not read. `onHeld` is called with the number of held bytes.
 */
export class PacedReader {
  readonly #socket: Socket;
  readonly #turns: Turns;
  readonly #onHeld: (bytes: number) => void;
  readonly #parse: (piece: Buffer) => void;
  readonly #finish: () => void;
  readonly #exchanges: Exchange[] = [];
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Of the body of the last request, unless it is chunked. */
  #bodyBytesLeft = 0;
  #discardedBytes = 0;
  #isOver = false;
  #hasEnded = false;
  #isScheduled = false;
  #isRefused = false;
  #isProven = false;

  constructor(socket: Socket, turns: Turns, onHeld: (bytes: number) => void) {
    this.#socket = socket;
    this.#turns = turns;
    this.#onHeld = onHeld;
    this.#parse = takeOver(socket, 'data', (chunk: Buffer) => this.#take(chunk));
    this.#finish = takeOver(socket, 'end', () => {
      this.#hasEnded = true;
      this.#finishIfDone();
    });
    socket.on('resume', this.#pauseIfHolding);
    socket.once('close', () => {
      this.#exchanges.length = 0;
      this.stopReading();
    });
  }

  /** Runs `begin` once the client has taken all earlier answers on the connection. */
  add(res: ServerResponse, begin: () => void): void {
    if (this.#isOver) return;
    const { req } = res;
    const exchange = { req, res, begin, isAnswered: false };
    this.#exchanges.push(exchange);
    this.#bodyBytesLeft = Number(req.headers['content-length'] ?? 0);
    res.on('close', () => this.#onAnswered(exchange));
    if (this.#exchanges.length === 1) this.#beginFirst();
  }

  /** Reads no further request, and begins none of the waiting ones. */
  end(): void {
    this.#exchanges.splice(1);
    this.stopReading();
  }

  /** Reads no further request; the waiting ones still begin. */
  stopReading(): void {
    this.#isOver = true;
    this.#held = [];
    this.#heldBytes = 0;
    this.#onHeld(0);
    // Data still arriving must be discarded: left unread, it would reset the socket.
    if (!this.#socket.destroyed && this.#socket.isPaused()) this.#socket.resume();
  }

  /** Gives up the held bytes and the connection: at once, or after the answer under way. */
  giveUp(): void {
    const last = this.#exchanges.at(-1);
    this.stopReading();
    if (last === undefined || !last.req.complete || last.res.headersSent) this.#socket.destroy();
    else last.res.setHeader('Connection', 'close');
  }

  /** Whether a part of the current request is held, not just later requests. */
  isWithinRequest(): boolean {
    return this.#exchanges.at(-1)?.req.complete !== true;
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) {
      this.#discardedBytes += chunk.length;
      if (this.#discardedBytes > maxDiscardedBytes) this.#socket.pause();
      return;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#isScheduled) return;
    if (isChunked(this.#requestUnderWay())) this.#schedule();
    else this.#readOn();
  }

  /** Parses as much as is wanted now. */
  readonly #readOn = (): void => {
    this.#isScheduled = false;
    let pieces = 0;
    while (this.#heldBytes > 0 && this.#isWanted()) {
      if (pieces === maxPieces || (pieces > 0 && isChunked(this.#requestUnderWay()))) {
        this.#schedule();
        break;
      }
      pieces += 1;
      this.#parse(this.#takePiece());
      this.#removeAnswered();
    }
    const socket = this.#socket;
    this.#onHeld(this.#heldBytes + (this.#heldBytes > 0 ? socket.readableLength : 0));
    if (this.#heldBytes > 0) process.nextTick(this.#pauseIfHolding);
    else if (socket.isPaused() && !this.#isOver) socket.resume();
    this.#finishIfDone();
  };

  #schedule(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    const rank = isChunked(this.#requestUnderWay()) ? 'chunks' : 'message';
    this.#turns.add(this.#readOn, this.#isProven ? rank : 'other');
  }

  /** The last request, while the parser has not come to its end. */
  #requestUnderWay(): IncomingMessage | undefined {
    const req = this.#exchanges.at(-1)?.req;
    return req?.complete === false ? req : undefined;
  }

  #isWanted(): boolean {
    const last = this.#exchanges.at(-1);
    if (last === undefined) return true;
    const { req } = last;
    if (req.complete || this.#exchanges.length > 1) return false;
    if (req.readableFlowing === true) return true;
    if (!isChunked(req) && this.#heldBytes + req.readableLength <= unreadBodyBytes) return true;
    req.once('resume', this.#readOn);
    return false;
  }

  #takePiece(): Buffer {
    const [chunk = Buffer.of()] = this.#held;
    const length = this.#measurePiece(chunk);
    if (length === chunk.length) this.#held.shift();
    else this.#held[0] = chunk.subarray(length);
    this.#heldBytes -= length;
    return chunk.subarray(0, length);
  }

  /**
   * Up to the end of the body whose length is known, or of the next head, so that only very short
   * requests can be parsed together.
   */
  #measurePiece(chunk: Buffer): number {
    const req = this.#requestUnderWay();
    if (req !== undefined && !isChunked(req)) {
      const length = Math.min(chunk.length, this.#bodyBytesLeft);
      this.#bodyBytesLeft -= length;
      return length;
    }
    const least = this.#exchanges.length === 0 ? shortestRequest : shortestPieceOfBody;
    // Of a chunked body no more than that is taken, and so no more is searched.
    const piece = req === undefined ? chunk : chunk.subarray(0, longestPieceOfChunks);
    const found = piece.indexOf(endOfHead, least - endOfHead.length);
    const length = found === -1 ? piece.length : found + endOfHead.length;
    return req === undefined ? length : Math.min(length, measureChunks(piece));
  }

  /** In a later tick: Node resumes a socket in the tick after the end of a request. */
  readonly #pauseIfHolding = (): void => {
    if (this.#heldBytes > 0 && this.#socket.readableFlowing === true) this.#socket.pause();
  };

  #removeAnswered(): void {
    const [first] = this.#exchanges;
    if (first === undefined || !first.isAnswered || !first.req.complete) return;
    this.#exchanges.shift();
    this.#beginFirst();
  }

  #beginFirst(): void {
    const [first] = this.#exchanges;
    if (first === undefined) return;
    const { method, headers } = first.req;
    const mayBeMessage = method !== 'GET' && method !== 'HEAD';
    this.#isProven = mayBeMessage && headers.authorization !== undefined && !this.#isRefused;
    const begin = (): void => {
      if (this.#exchanges[0] === first) first.begin();
    };
    this.#turns.add(begin, this.#isProven ? 'message' : 'other');
  }

  #onAnswered(exchange: Exchange): void {
    exchange.isAnswered = true;
    this.#isRefused = exchange.res.statusCode >= 400;
    this.#isProven &&= !this.#isRefused;
    this.#removeAnswered();
    if (this.#heldBytes > 0) this.#schedule();
    this.#finishIfDone();
  }

  /** The client has closed its half of the connection; the other half stays open for the answers. */
  #finishIfDone(): void {
    if (!this.#hasEnded || this.#isOver || this.#heldBytes > 0) return;
    if (this.#exchanges.at(-1)?.req.complete === true) return;
    this.#isOver = true;
    this.#finish();
  }
}

function isChunked(req: IncomingMessage | undefined): boolean {
  return req?.headers['transfer-encoding'] !== undefined;
}

/** How much of a chunked body to parse at once, so that many short chunks take no longer than a few long ones. */
function measureChunks(piece: Buffer): number {
  let length = 0;
  for (let lineEnds = 0; lineEnds < maxLineEnds; lineEnds += 1) {
    const found = piece.indexOf(lineFeed, length);
    if (found === -1) return piece.length;
    length = found + 1;
  }
  return length;
}

/** Replaces the listener that Node's HTTP server has just added by another one; returns the former. */
function takeOver<T extends unknown[]>(
  socket: Socket,
  event: 'data' | 'end',
  listener: (...args: T) => void,
): (...args: T) => void {
  const replaced = socket.listeners(event).at(-1);
  if (replaced === undefined) throw new Error(`expected a listener for ${event}`);
  const call = (...args: T): void => void Reflect.apply(replaced, socket, args);
  // Added first: this ends the direct reading of the socket by the parser.
  socket.on(event, listener);
  Reflect.apply(socket.removeListener, socket, [event, replaced]);
  return call;
}
