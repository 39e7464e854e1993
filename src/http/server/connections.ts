import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';

/** The open connections of a server, and the responses that are being made on them. */
export interface Connections {
  /** Follows a response until it was sent or its connection is gone. */
  add(res: ServerResponse): void;
  /** The responses that are being made on a connection, the oldest first. */
  responsesOn(socket: Duplex): readonly ServerResponse[];
  /** Lets no connection outlive its responses; resolves when none is left, or at the deadline. */
  finish(timeoutMs: number): Promise<void>;
  /** Cuts off what is still open. */
  destroy(): void;
}

interface Connection {
  readonly endpoint: string;
  /** As it was accepted: below TLS. */
  readonly socket: Socket;
  readonly responses: Set<ServerResponse>;
}

/**
 * Follows the connections of a server, those in a TLS handshake included. One more than
 * `maxConnections` takes the place of the one on which nothing has moved for longest; `onDrop` hears
 * of that one, or of the new one when all others await their answers.
 */
export function createConnections(
  server: Server,
  maxConnections: number,
  onDrop: OnDrop,
): Connections {
  // By endpoint, in the order of what moved last: it was accepted, a request began, an answer ended.
  const open = new Map<string, Connection>();
  const bySocket = new WeakMap<Duplex, Connection>();
  let onIdle: (() => void) | undefined;

  server.on('connection', (socket: Socket) => {
    if (open.size < maxConnections || makeRoom()) {
      track(socket);
      return;
    }
    socket.destroy();
    onDrop('refused');
  });

  function track(socket: Socket): Connection {
    const connection: Connection = {
      endpoint: endpointOf(socket),
      socket,
      responses: new Set(),
    };
    open.set(connection.endpoint, connection);
    // by socket, because a response that waits behind another one says nothing when their socket closes
    socket.once('close', () => {
      connection.responses.clear();
      forget(connection);
      settle();
    });
    return connection;
  }

  /** Whether it was still known: one that had to make room closes a little later. */
  function forget(connection: Connection): boolean {
    return open.get(connection.endpoint) === connection && open.delete(connection.endpoint);
  }

  function touch(connection: Connection): void {
    if (forget(connection)) open.set(connection.endpoint, connection);
  }

  function makeRoom(): boolean {
    for (const connection of open.values()) {
      if (!isDispensable(connection)) continue;
      forget(connection);
      connection.socket.destroy();
      onDrop('displaced');
      return true;
    }
    return false;
  }

  /** A request comes on the socket that was accepted, or on the one that TLS made of it. */
  function find(socket: Socket): Connection {
    const known = bySocket.get(socket);
    if (known !== undefined) return known;
    const connection = open.get(endpointOf(socket)) ?? track(socket);
    bySocket.set(socket, connection);
    return connection;
  }

  function end(connection: Connection, res: ServerResponse): void {
    if (!connection.responses.delete(res)) return;
    touch(connection);
    settle();
  }

  function settle(): void {
    if (onIdle && [...open.values()].every(({ responses }) => responses.size === 0)) onIdle();
  }

  return {
    add(res) {
      const { socket } = res.req;
      const connection = find(socket);
      connection.responses.add(res);
      touch(connection);
      res.once('close', () => end(connection, res));
      if (onIdle) announceClose(connection.responses);
    },
    responsesOn: (socket) => [...(bySocket.get(socket)?.responses ?? [])],
    finish(timeoutMs) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
        for (const { responses } of open.values()) announceClose(responses);
        settle();
      });
    },
    destroy() {
      for (const { socket } of open.values()) socket.destroy();
    },
  };
}

/** Both ends of a connection; the same below TLS and above it. */
function endpointOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/** With it goes nothing but the rest of a request, or an answer that is not taken. */
function isDispensable({ responses }: Connection): boolean {
  return [...responses].every(({ headersSent, req }) => headersSent || !req.complete);
}

/** Only the last response may say so: Node closes the connection behind whichever does. */
function announceClose(responses: ReadonlySet<ServerResponse>): void {
  const last = [...responses].at(-1);
  if (last && !last.headersSent) last.setHeader('Connection', 'close');
}

/** Why a connection was closed by the gateway, though its client had done nothing wrong. */
export type DropReason = (typeof dropReasons)[number];

/** All the reasons there are. */
export const dropReasons = ['refused', 'displaced', 'held'] as const;

/** Hears of each connection that is dropped. */
export type OnDrop = (reason: DropReason) => void;

const dropLogIntervalMs = 10_000;

/** Creates what logs dropped connections: the first at once, then one line in `dropLogIntervalMs`. */
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
