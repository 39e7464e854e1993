import { Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PacedReader } from './paced-reader.ts';
import { createTurns } from './turns.ts';

/** Decides what is read from the connections of a server, and when the requests on them begin. */
export interface Intake {
  /** Runs `begin` once the client has taken all earlier answers on the connection of `res`. */
  add(res: ServerResponse, begin: () => void): void;
  /** Reads no more from a connection, and begins none of the requests waiting on it. */
  end(socket: Duplex): void;
  /** Reads no more from a connection; the requests waiting on it still begin. */
  stopReading(socket: Duplex): void;
}

/** Maximum number of bytes held for all connections together: read, but not parsed yet. */
const defaultMaxHeldBytes = 8 * 1024 * 1024;

/** Until the requests of one turn of the event loop begin, their bytes may exceed that by this factor. */
const burstFactor = 2;

/** Connections that hold no more than this are never given up. */
const negligibleBytes = 8 * 1024;

/**
 * Follows the connections of a server. If they hold more than `maxHeldBytes`, it gives up those that
 * have been idle longest, starting with those that only hold requests sent in advance; `onGivenUp` is
 * called for each.
 */
export function createIntake(
  server: Server | https.Server,
  onGivenUp: () => void,
  maxHeldBytes = defaultMaxHeldBytes,
): Intake {
  const readers = new WeakMap<Duplex, PacedReader>();
  const turns = createTurns();
  // Those that hold a lot, least recently active first.
  const holders = new Map<PacedReader, number>();
  let heldBytes = 0;
  let isGivingUp = false;

  // Node accepts only one connection per turn of the event loop (libuv 1.45), so after one, the next must
  // not wait for all messages that are ready.
  server.on('connection', () => turns.shorten());
  const isTls = !(server instanceof Server);
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (socket.destroyed) return;
    const reader: PacedReader = new PacedReader(socket, turns, (bytes) => onHeld(reader, bytes));
    readers.set(socket, reader);
  });

  function onHeld(reader: PacedReader, bytes: number): void {
    const before = holders.get(reader) ?? 0;
    const counted = bytes > negligibleBytes ? bytes : 0;
    if (before === 0 && counted === 0) return;
    holders.delete(reader);
    if (counted > 0) holders.set(reader, counted);
    heldBytes += counted - before;
    if (heldBytes > maxHeldBytes * burstFactor) giveUpSome();
    else if (heldBytes > maxHeldBytes && !isGivingUp) {
      isGivingUp = true;
      // Two turns later: by then the bodies of requests that begin meanwhile are being read.
      turns.add(() => turns.add(giveUpSome, 'other'), 'other');
    }
  }

  function giveUpSome(): void {
    isGivingUp = false;
    for (const isWithinRequest of [false, true]) {
      for (const reader of holders.keys()) {
        if (heldBytes <= maxHeldBytes) return;
        if (reader.isWithinRequest() !== isWithinRequest) continue;
        reader.giveUp();
        onGivenUp();
      }
    }
  }

  return {
    add: (res, begin) => readers.get(res.req.socket)?.add(res, begin),
    end: (socket) => readers.get(socket)?.end(),
    stopReading: (socket) => readers.get(socket)?.stopReading(),
  };
}
