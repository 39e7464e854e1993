import type { Stanza } from '../../core/message/message.ts';
import { overloaded } from '../wire/outcome.ts';

/** Bounds what is on its way into rooms. */
export interface RoomQuota {
  /** Counts a stanza in until the returned function is called; throws GatewayError `overloaded`. */
  take(stanza: Stanza): () => void;
}

interface Usage {
  count: number;
  bytes: number;
}

/** One room has at most a quarter of it all, one caller half: a flood does not hold up the others. */
const [roomsShare, callersShare] = [4, 2];

/** Caps for all rooms together; the only message of a room or caller is never too large for its share. */
export function createRoomQuota(options: {
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
}): RoomQuota {
  const total: Usage = { count: 0, bytes: 0 };
  const shares = new Map<string, Usage>();

  const shareOf = (key: string): Usage => shares.get(key) ?? { count: 0, bytes: 0 };

  const isFull = (used: Usage, bytes: number, parts: number): boolean =>
    used.count >= Math.max(1, options.maxInFlight / parts) ||
    (used.count > 0 && used.bytes + bytes > options.maxInFlightBytes / parts);

  return {
    take: ({ to, caller, bytes }) => {
      const keys = [`room ${to.toString()}`, `caller ${caller}`] as const;
      const [room, own] = [shareOf(keys[0]), shareOf(keys[1])];
      if (isFull(total, bytes, 1)) throw overloaded();
      if (isFull(room, bytes, roomsShare)) {
        throw overloaded('too many messages are on their way into this room');
      }
      if (isFull(own, bytes, callersShare)) {
        throw overloaded('too many messages of this caller are on their way into rooms');
      }
      shares.set(keys[0], room).set(keys[1], own);
      for (const usage of [total, room, own]) count(usage, 1, bytes);
      return () => {
        for (const usage of [total, room, own]) count(usage, -1, -bytes);
        for (const key of keys) if (shareOf(key).count === 0) shares.delete(key);
      };
    },
  };
}

function count(usage: Usage, messages: number, bytes: number): void {
  usage.count += messages;
  usage.bytes += bytes;
}
