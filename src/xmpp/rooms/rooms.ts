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
import type { StreamHandle } from '../stream/handle.ts';
import type { DomainModes } from '../stream/trust-proof.ts';
import { overloaded, unavailable } from '../wire/gateway-errors.ts';
import { buildPong } from '../wire/iq.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';
import { RoomOccupant } from './occupant.ts';
import { buildLeave } from './stanzas.ts';

/** Times in milliseconds. */
export interface RoomsOptions {
  readonly stream: StreamHandle;
  readonly component: string;
  readonly limits: MessageLimits;
  readonly confirmTimeoutMs: number;
  readonly idleMs: number;
  /** By the room's bare JID. */
  readonly passwords: Readonly<Record<string, Secret>>;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** How many occupants there may be at once; default 1000. */
  readonly maxOccupants?: number;
  /** Writes a message, and resolves when our own server has processed it. */
  readonly deliverToServer: (stanza: Stanza) => Promise<void>;
}

const tooMany = 'too many rooms are being spoken in';

/** The same after a restart, so that a room with an occupant of the previous process takes it back. */
const resource = 'gateway';

/**
 * Speaks in rooms (XEP-0045) through occupants of the component's own domain: one for each sender in
 * each room. At the cap, the occupant that has been idle longest leaves.
 */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #quota: RoomQuota;
  /** The longest silent first. */
  readonly #occupants = new Map<string, RoomOccupant>();

  constructor(options: RoomsOptions) {
    this.#options = options;
    this.#quota = createRoomQuota(options);
  }

  /** The stanza with the sender's occupant as its sender; throws GatewayError `too-large`. */
  buildStanza(message: Message): Stanza {
    const { component, limits } = this.#options;
    return serializeMessage({ ...message, from: occupantOf(message.from, component) }, limits);
  }

  /** Resolves when the room has reflected the stanza; rejects with GatewayError. */
  async deliver(stanza: Stanza, sender: Jid): Promise<void> {
    if (!this.#options.stream.isOpen()) throw unavailable('the component stream is down');
    const release = this.#quota.take(stanza);
    try {
      const key = keyOf(stanza.to.toString(), bareOf(stanza.from.toString()));
      const occupant = this.#occupants.get(key) ?? this.#createOccupant(key, stanza, sender);
      this.#occupants.delete(key);
      this.#occupants.set(key, occupant);
      await occupant.deliver(stanza);
    } finally {
      release();
    }
  }

  /** Takes a message or a presence that a room sends to an occupant. */
  takeStanza(stanza: Element): boolean {
    const { component, stream } = this.#options;
    const occupant = this.#find(stanza);
    if (occupant !== undefined) {
      occupant.handleStanza(stanza);
      return true;
    }
    if (!isForLostOccupant(stanza, component)) return false;
    if (!stream.isBlocked()) {
      stream.write(buildLeave(String(stanza.attrs['to']), String(stanza.attrs['from'])));
    }
    return true;
  }

  /** The answer to a room's ping of an occupant (XEP-0199, XEP-0410). */
  answerRequest(stanza: Element): string | undefined {
    return stanza.is('iq') && this.#find(stanza) !== undefined ? buildPong(stanza) : undefined;
  }

  handleClose({ reason }: StreamFailure): void {
    for (const occupant of this.#occupants.values()) occupant.handleClose(reason);
  }

  /** Occupants leave whose senders need not join any more: for these, their nicks would be taken. */
  handleModes(modes: DomainModes): void {
    for (const occupant of this.#occupants.values()) {
      const form = modes.get(occupant.senderDomain)?.form;
      if (form?.mode === 'client' && form.speaksInRooms) occupant.dismiss();
    }
  }

  /** Leaves all rooms. */
  leave(): void {
    for (const occupant of this.#occupants.values()) occupant.leave();
  }

  #find({ attrs: { from, to } }: Element): RoomOccupant | undefined {
    return this.#occupants.get(keyOf(bareOf(String(from)), bareOf(String(to))));
  }

  #createOccupant(key: string, { from, to, caller }: Stanza, sender: Jid): RoomOccupant {
    this.#makeRoom(caller);
    const { stream, confirmTimeoutMs, idleMs, passwords, deliverToServer } = this.#options;
    const room = to.toString();
    const { local: nick = '', domain: senderDomain } = sender;
    return new RoomOccupant({
      stream,
      caller,
      senderDomain,
      seat: { jid: from.toString(), room, nick, password: passwords[room] },
      timeoutMs: confirmTimeoutMs,
      idleMs,
      deliverToServer,
      onGone: () => this.#occupants.delete(key),
    });
  }

  #makeRoom(caller: string): void {
    const { maxOccupants = 1000 } = this.#options;
    if (this.#occupants.size < maxOccupants) return;
    const all = [...this.#occupants.values()];
    const place = all.find((occupant) => occupant.isIdle()) ?? findDispensable(all, caller);
    if (place === undefined) throw overloaded(tooMany);
    place.leave(overloaded(tooMany));
  }
}

/**
 * The newest occupant that is still entering, of the caller with most of those, if that is more than
 * `caller` would have.
 */
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
 * sign, so the last one separates the two. The colons of an IPv6 address are escaped (XEP-0106 §2).
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

/** Whether a room sends a message to an occupant that a previous process left in it. */
function isForLostOccupant(stanza: Element, component: string): boolean {
  const { to, type } = stanza.attrs;
  if (type !== 'groupchat' || !stanza.is('message')) return false;
  return bareOf(String(to)).endsWith(`@${component}`) && resourceOf(String(to)) === resource;
}

function keyOf(room: string, occupant: string): string {
  return `${room} ${occupant}`;
}

/** Caps the messages that are on their way into rooms. */
export interface RoomQuota {
  /** Counts a stanza until the returned function is called; throws GatewayError `overloaded`. */
  take(stanza: Stanza): () => void;
}

interface Usage {
  count: number;
  bytes: number;
}

/** A room may fill a quarter of the caps and a caller half, so that a flood does not hold up others. */
const [roomsShare, callersShare] = [4, 2];

/** The caps count all rooms together. The only message of a room or a caller always fits its share. */
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
    take: ({ to, caller, heldBytes: bytes }) => {
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
