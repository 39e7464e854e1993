import type { Element } from 'ltx';
import { invalidMessage } from '../../core/errors.ts';
import { bareOf, Jid, JidError, resourceOf } from '../../core/jid/jid.ts';
import {
  type Message,
  type MessageLimits,
  type Stanza,
  serializeMessage,
} from '../../core/message/message.ts';
import type { Secret } from '../../core/secret.ts';
import type { ComponentConnection } from '../stream/connection.ts';
import { buildPong } from '../wire/iq.ts';
import { overloaded, unavailable } from '../wire/outcome.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';
import { createRoomOccupant, type RoomOccupant } from './occupant.ts';
import { buildLeave } from './stanzas.ts';

/** Speaks in rooms (XEP-0045) through occupants of the component's own domain. */
export interface Rooms {
  /** The stanza as the sender's occupant says it; throws GatewayError `too-large`. */
  buildStanza(message: Message): Stanza;
  /** Resolves when the room has reflected the stanza. Rejects with GatewayError. */
  deliver(stanza: Stanza, nick: string): Promise<void>;
  attach(connection: ComponentConnection): void;
  detach(failure: StreamFailure): void;
  /** Takes what rooms say to occupants. */
  handleStanza(stanza: Element): void;
  /** The answer to a room's ping of an occupant (XEP-0199, XEP-0410). */
  answerRequest(stanza: Element): string | undefined;
  /** Leaves all rooms. */
  leave(): void;
}

/** Times in milliseconds. */
export interface RoomsOptions {
  readonly component: string;
  readonly limits: MessageLimits;
  readonly confirmTimeoutMs: number;
  readonly idleMs: number;
  /** By the room's bare JID. */
  readonly passwords: Readonly<Record<string, Secret>>;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Most occupants at once; default 1000. */
  readonly maxOccupants?: number;
  readonly deliver: (stanza: Stanza) => Promise<void>;
}

const tooMany = 'too many rooms are being spoken in';

/** The same after a restart: rooms that still have an occupant of before let it go on. */
const resource = 'gateway';

/** Keeps one occupant for each sender in each room; the longest idle one makes room for another. */
export function createRooms(options: RoomsOptions): Rooms {
  const { component, limits, confirmTimeoutMs, idleMs, passwords, deliver } = options;
  const { maxOccupants = 1000 } = options;
  const quota = createRoomQuota(options);
  /** The longest silent first. */
  const occupants = new Map<string, RoomOccupant>();
  let connection: ComponentConnection | undefined;

  const write = (xml: string): void => connection?.write(xml);

  const find = ({ attrs: { from, to } }: Element): RoomOccupant | undefined =>
    occupants.get(keyOf(bareOf(String(from)), bareOf(String(to))));

  const makeRoom = (caller: string): void => {
    if (occupants.size < maxOccupants) return;
    const all = [...occupants.values()];
    const place = all.find((occupant) => occupant.isIdle()) ?? findDispensable(all, caller);
    if (place === undefined) throw overloaded(tooMany);
    place.leave(overloaded(tooMany));
  };

  const createOccupant = (
    key: string,
    { from, to, caller }: Stanza,
    nick: string,
  ): RoomOccupant => {
    makeRoom(caller);
    const room = to.toString();
    return createRoomOccupant({
      caller,
      seat: { jid: from.toString(), room, nick, password: passwords[room] },
      timeoutMs: confirmTimeoutMs,
      idleMs,
      write,
      deliver,
      onGone: () => occupants.delete(key),
    });
  };

  return {
    buildStanza: (message) =>
      serializeMessage({ ...message, from: occupantOf(message.from, component) }, limits),
    deliver: async (stanza, nick) => {
      if (connection === undefined) throw unavailable('the component stream is down');
      const release = quota.take(stanza);
      try {
        const key = keyOf(stanza.to.toString(), bareOf(stanza.from.toString()));
        const occupant = occupants.get(key) ?? createOccupant(key, stanza, nick);
        occupants.delete(key);
        occupants.set(key, occupant);
        await occupant.say(stanza);
      } finally {
        release();
      }
    },
    attach: (next) => {
      connection = next;
    },
    detach: ({ reason }) => {
      connection = undefined;
      for (const occupant of occupants.values()) occupant.detach(reason);
    },
    handleStanza: (stanza) => {
      const occupant = find(stanza);
      if (occupant !== undefined) {
        occupant.handleStanza(stanza);
      } else if (isOfLostOccupant(stanza, component) && connection?.isBlocked() === false) {
        write(buildLeave(String(stanza.attrs['to']), String(stanza.attrs['from'])));
      }
    },
    answerRequest: (stanza) =>
      stanza.is('iq') && find(stanza) !== undefined ? buildPong(stanza) : undefined,
    leave: () => {
      for (const occupant of occupants.values()) occupant.leave();
    },
  };
}

/** The newest that is still entering, of whoever has most of those, if that is more than `caller` would have. */
function findDispensable(
  occupants: readonly RoomOccupant[],
  caller: string,
): RoomOccupant | undefined {
  const entering = new Map<string, RoomOccupant[]>();
  for (const occupant of occupants) {
    if (!occupant.isEntering()) continue;
    const own = entering.get(occupant.caller);
    if (own === undefined) entering.set(occupant.caller, [occupant]);
    else own.push(occupant);
  }
  const [most = []] = [...entering.values()].toSorted((a, b) => b.length - a.length);
  return most.length > (entering.get(caller)?.length ?? 0) + 1 ? most.at(-1) : undefined;
}

/**
 * `alice%example.org@gateway.example.org/gateway` for alice@example.org: no domain has a percent
 * sign, so the last one parts them. The colons of an IPv6 address are escaped (XEP-0106 §2).
 */
function occupantOf(sender: Jid, component: string): Jid {
  const local = `${sender.local}%${sender.domain.replaceAll(':', '\\3a')}`;
  try {
    return new Jid(local, component, resource);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
    throw invalidMessage('', `The sender cannot speak in rooms: ${error.message}`);
  }
}

/** Whether a room speaks to an occupant that a process before this one left behind. */
function isOfLostOccupant(stanza: Element, component: string): boolean {
  const { to, type } = stanza.attrs;
  if (type !== 'groupchat' || !stanza.is('message')) return false;
  return bareOf(String(to)).endsWith(`@${component}`) && resourceOf(String(to)) === resource;
}

function keyOf(room: string, occupant: string): string {
  return `${room} ${occupant}`;
}

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
