import { readFileSync } from 'node:fs';
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';

interface Connection {
  readonly endpoint: string;
  /** The accepted TCP socket, below TLS. */
  readonly socket: Socket;
  readonly responses: Set<ServerResponse>;
}

/**
 * Follows the open connections of a server, including those in a TLS handshake, and the unfinished
 * responses on them. A connection beyond the maximum takes the place of the one that has been idle
 * longest, or is refused if all the others await answers; `onDrop` is called with either.
 */
export class Connections {
  readonly #maxConnections: number;
  readonly #onDrop: OnDrop;
  /**
   * Keyed by endpoint, least recently active first: active when it was accepted, when a request began,
   * and when a response ended.
   */
  readonly #open = new Map<string, Connection>();
  readonly #bySocket = new WeakMap<Duplex, Connection>();
  #onIdle: (() => void) | undefined;

  constructor(server: Server, maxConnections: number, onDrop: OnDrop) {
    this.#maxConnections = maxConnections;
    this.#onDrop = onDrop;
    server.on('connection', (socket: Socket) => this.#accept(socket));
  }

  /** Follows a response until it has been sent or its connection is gone. */
  add(res: ServerResponse): void {
    const connection = this.#find(res.req.socket);
    connection.responses.add(res);
    this.#touch(connection);
    // Not with once(), which would cost a wrapper for each request: a response closes once.
    res.on('close', () => {
      if (!connection.responses.delete(res)) return;
      this.#touch(connection);
      this.#settle();
    });
    if (this.#onIdle) announceClose(connection.responses);
  }

  /** The unfinished responses on a connection, the oldest first. */
  responsesOn(socket: Duplex): readonly ServerResponse[] {
    return [...(this.#bySocket.get(socket)?.responses ?? [])];
  }

  /** Closes each connection after its last response; resolves once none is left, or at the deadline. */
  finish(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const { responses } of this.#open.values()) announceClose(responses);
      this.#settle();
    });
  }

  /** Cuts off the connections that are still open. */
  destroy(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #accept(socket: Socket): void {
    if (this.#open.size < this.#maxConnections || this.#makeRoom()) {
      this.#track(socket);
      return;
    }
    socket.destroy();
    this.#onDrop('refused');
  }

  #makeRoom(): boolean {
    for (const connection of this.#open.values()) {
      if (!isDispensable(connection)) continue;
      this.#forget(connection);
      connection.socket.destroy();
      this.#onDrop('displaced');
      return true;
    }
    return false;
  }

  #track(socket: Socket): Connection {
    const connection: Connection = { endpoint: endpointOf(socket), socket, responses: new Set() };
    this.#open.set(connection.endpoint, connection);
    // Followed on the socket: a response that waits for an earlier one is not closed with the socket.
    socket.once('close', () => {
      connection.responses.clear();
      this.#forget(connection);
      this.#settle();
    });
    return connection;
  }

  /** Finds the connection of a request: it arrives on the accepted socket, or on that of TLS above it. */
  #find(socket: Socket): Connection {
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return known;
    const connection = this.#open.get(endpointOf(socket)) ?? this.#track(socket);
    this.#bySocket.set(socket, connection);
    return connection;
  }

  /** Returns whether it was still known: one that had to make room closes a little later. */
  #forget(connection: Connection): boolean {
    const { endpoint } = connection;
    return this.#open.get(endpoint) === connection && this.#open.delete(endpoint);
  }

  #touch(connection: Connection): void {
    if (this.#forget(connection)) this.#open.set(connection.endpoint, connection);
  }

  #settle(): void {
    if (this.#onIdle === undefined) return;
    if ([...this.#open.values()].every(({ responses }) => responses.size === 0)) this.#onIdle();
  }
}

/** Both ends of a connection; the same below TLS and above it. */
function endpointOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/**
 * Closing it loses no more than an incomplete request or an answer that the client does not read. One
 * without a deadline for silence has messages on their way, although its request is not complete.
 */
function isDispensable({ responses }: Connection): boolean {
  return [...responses].every(
    ({ headersSent, req }) => (headersSent || !req.complete) && req.socket.timeout !== 0,
  );
}

/** On the last response only: Node closes the connection after the one that announces it. */
function announceClose(responses: ReadonlySet<ServerResponse>): void {
  const last = [...responses].at(-1);
  if (last && !last.headersSent) last.setHeader('Connection', 'close');
}

/** Why the gateway closed a connection although its client had done nothing wrong. */
export type DropReason = (typeof dropReasons)[number];

/** All reasons. */
export const dropReasons = ['refused', 'displaced', 'held'] as const;

/** Called for each connection that is dropped. */
export type OnDrop = (reason: DropReason) => void;

const dropLogIntervalMs = 10_000;

/** Creates a log of dropped connections: the first at once, then one line per `dropLogIntervalMs`. */
export function createDropLog(log: Logger): OnDrop {
  let counts: Partial<Record<DropReason, number>> = {};
  let isQuiet = false;

  function write(): void {
    isQuiet = Object.keys(counts).length > 0;
    if (!isQuiet) return;
    log.warn(counts, 'connections dropped');
    counts = {};
    setTimeout(write, dropLogIntervalMs).unref();
  }

  return (reason) => {
    counts[reason] = (counts[reason] ?? 0) + 1;
    if (!isQuiet) write();
  };
}

/** Maximum number of connections, however many files the process may have open. */
const mostConnections = 10_000;

/** Files for the component stream, for password checks, and for Node.js itself. */
const reservedFiles = 256;

/** Finds how many connections may be open, so that enough files are left for everything else. */
export function findConnectionLimit(): number {
  return parseConnectionLimit(readLimits());
}

/** The same from the text of `/proc/self/limits`; Node.js itself has raised the soft limit. */
export function parseConnectionLimit(limits: string): number {
  const files = Number(
    /^Max open files +(\d+)/m.exec(limits)?.[1] ?? mostConnections + reservedFiles,
  );
  return Math.min(mostConnections, Math.max(Math.floor(files / 2), files - reservedFiles));
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Only Linux has this file.
    return '';
  }
}
