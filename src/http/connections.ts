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

/** Follows the connections of a server, those in a TLS handshake included. */
export function createConnections(server: Server): Connections {
  const sockets = new Set<Socket>();
  const inFlight = new Map<Duplex, Set<ServerResponse>>();
  let onIdle: (() => void) | undefined;

  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  // by socket, because a response that waits behind another one says nothing when their socket closes
  function begin(socket: Socket): Set<ServerResponse> {
    const responses = new Set<ServerResponse>();
    inFlight.set(socket, responses);
    socket.once('close', () => {
      inFlight.delete(socket);
      settle();
    });
    return responses;
  }

  function settle(): void {
    if (onIdle && [...inFlight.values()].every((responses) => responses.size === 0)) onIdle();
  }

  return {
    add(res) {
      const { socket } = res.req;
      const responses = inFlight.get(socket) ?? begin(socket);
      responses.add(res);
      res.once('close', () => {
        responses.delete(res);
        settle();
      });
      if (onIdle) announceClose(responses);
    },
    responsesOn: (socket) => [...(inFlight.get(socket) ?? [])],
    finish(timeoutMs) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
        for (const responses of inFlight.values()) announceClose(responses);
        settle();
      });
    },
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Only the last response may say so: Node closes the connection behind whichever does. */
function announceClose(responses: ReadonlySet<ServerResponse>): void {
  const last = [...responses].at(-1);
  if (last && !last.headersSent) last.setHeader('Connection', 'close');
}
