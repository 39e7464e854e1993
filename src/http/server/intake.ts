import { Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createPacedReader, type PacedReader } from './paced-reader.ts';
import { createTurns } from './turns.ts';

/** What is read of a server's connections, and when the requests on them begin. */
export interface Intake {
  /** Runs `begin` when all earlier answers on the connection of `res` have been taken. */
  add(res: ServerResponse, begin: () => void): void;
  /** Reads nothing more of a connection, and begins none of the requests that are waiting on it. */
  end(socket: Duplex): void;
  /** Reads nothing more of a connection; the requests that are waiting on it are still begun. */
  stopReading(socket: Duplex): void;
}

/** Most bytes that are held for all connections: read, but not parsed yet. */
const defaultMaxHeldBytes = 8 * 1024 * 1024;

/** What one turn of the event loop brings may be so many times more, until the requests in it begin. */
const burstFactor = 2;

/** Connections that hold no more than this are never given up. */
const negligibleBytes = 8 * 1024;

/**
 * Follows the connections of a server. When more than `maxHeldBytes` are held, it gives up those on
 * which nothing has moved for longest, first those that only hold requests in advance; `onGivenUp`
 * hears of each.
 */
export function createIntake(
  server: Server | https.Server,
  onGivenUp: () => void,
  maxHeldBytes = defaultMaxHeldBytes,
): Intake {
  const readers = new WeakMap<Duplex, PacedReader>();
  const turns = createTurns();
  // Those that hold much, least recently active first.
  const holders = new Map<PacedReader, number>();
  let heldBytes = 0;
  let isGivingUp = false;

  const isTls = !(server instanceof Server);
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (socket.destroyed) return;
    const reader: PacedReader = createPacedReader(socket, turns, (bytes) => onHeld(reader, bytes));
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
      // Two turns later: the bodies of requests that begin meanwhile are being read by then.
      turns.add(() => turns.add(giveUpSome, false), false);
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
