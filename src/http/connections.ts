import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

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

/** Requests on one connection that may wait for their answers before no more are read from it. */
const maxPipelined = 32;

/**
 * Follows the connections of a server, those in a TLS handshake included. One more than
 * `maxConnections` takes the place of the one that has been idle longest.
 */
export function createConnections(server: Server, maxConnections: number): Connections {
  const open = new Map<string, Connection>();
  // Both in the order in which their members became so.
  const idle = new Set<Connection>();
  const busy = new Set<Connection>();
  const bySocket = new WeakMap<Duplex, Connection>();
  let onIdle: (() => void) | undefined;

  server.on('connection', (socket: Socket) => {
    if (open.size < maxConnections || makeRoom()) track(socket);
    else socket.destroy();
  });

  function track(socket: Socket): Connection {
    const endpoint = endpointOf(socket);
    const connection: Connection = { endpoint, socket, responses: new Set() };
    open.set(endpoint, connection);
    idle.add(connection);
    // by socket, because a response that waits behind another one says nothing when their socket closes
    socket.once('close', () => {
      connection.responses.clear();
      forget(connection);
      settle();
    });
    return connection;
  }

  function forget(connection: Connection): void {
    if (open.get(connection.endpoint) === connection) open.delete(connection.endpoint);
    idle.delete(connection);
    busy.delete(connection);
  }

  function makeRoom(): boolean {
    const [longestIdle] = idle;
    const victim = longestIdle ?? [...busy].find(isDispensable);
    if (victim === undefined) return false;
    // Its socket only says so later, and until then the next one would choose it again.
    forget(victim);
    victim.socket.destroy();
    return true;
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
    const { responses } = connection;
    if (!responses.delete(res)) return;
    if (responses.size === maxPipelined) res.req.socket.resume();
    if (responses.size === 0 && busy.delete(connection)) idle.add(connection);
    settle();
  }

  function settle(): void {
    if (onIdle && [...busy].every(({ responses }) => responses.size === 0)) onIdle();
  }

  return {
    add(res) {
      const { socket } = res.req;
      const connection = find(socket);
      connection.responses.add(res);
      if (idle.delete(connection)) busy.add(connection);
      if (connection.responses.size > maxPipelined) process.nextTick(pauseFull, connection, socket);
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
        for (const { responses } of busy) announceClose(responses);
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

/** Only after the parser is through with what was read: it resumes the socket behind each request. */
function pauseFull({ responses }: Connection, socket: Socket): void {
  if (responses.size > maxPipelined) socket.pause();
}

/** Nobody loses anything with it but the rest of a request, or an answer that is not taken. */
function isDispensable({ responses }: Connection): boolean {
  return [...responses].every(({ headersSent, req }) => headersSent || !req.complete);
}

/** Only the last response may say so: Node closes the connection behind whichever does. */
function announceClose(responses: ReadonlySet<ServerResponse>): void {
  const last = [...responses].at(-1);
  if (last && !last.headersSent) last.setHeader('Connection', 'close');
}
