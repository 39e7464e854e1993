import type { Stanza } from '../core/message.ts';
import { overloaded } from './undelivered.ts';

/** Bounds what is on its way into rooms. */
export interface RoomQuota {
  /** Counts a stanza in until the returned function is called; throws GatewayError `overloaded`. */
  take(stanza: Stanza): () => void;
}

interface Usage {
  count: number;
  bytes: number;
}

/** One room has at most a quarter of it all, so that a flood to it does not hold up the others. */
const roomsShare = 4;

/** Caps for all rooms together; one message to a room that has none is never too large for its share. */
export function createRoomQuota(options: {
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
}): RoomQuota {
  const total: Usage = { count: 0, bytes: 0 };
  const rooms = new Map<string, Usage>();

  const isFull = (used: Usage, bytes: number, share: number): boolean =>
    used.count >= Math.max(1, options.maxInFlight / share) ||
    (used.count > 0 && used.bytes + bytes > options.maxInFlightBytes / share);

  return {
    take: ({ to, bytes }) => {
      const room = to.toString();
      const own = rooms.get(room) ?? { count: 0, bytes: 0 };
      if (isFull(total, bytes, 1)) throw overloaded();
      if (isFull(own, bytes, roomsShare)) {
        throw overloaded('too many messages are on their way into this room');
      }
      rooms.set(room, own);
      count(total, 1, bytes);
      count(own, 1, bytes);
      return () => {
        count(total, -1, -bytes);
        count(own, -1, -bytes);
        if (own.count === 0) rooms.delete(room);
      };
    },
  };
}

function count(usage: Usage, messages: number, bytes: number): void {
  usage.count += messages;
  usage.bytes += bytes;
}
