import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { bareOf } from '../../core/jid/jid.ts';
import type { Secret } from '../../core/secret.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { readOwnBounce, unavailable } from '../wire/gateway-errors.ts';
import {
  buildJoin,
  buildLeave,
  buildRoomQuery,
  isRoom,
  isRoomWithout,
  readOwnPresence,
} from './stanzas.ts';

/** Who enters which room, and under which name. */
export interface RoomSeat {
  /** Full JID of the occupant. */
  readonly jid: string;
  /** Bare JID of the room. */
  readonly room: string;
  /** The nick that is tried first. */
  readonly nick: string;
  readonly password: Secret | undefined;
}

/** Exactly one of the callbacks is called, unless the entry is cancelled. */
export interface RoomEntryOptions {
  readonly stream: StreamHandle;
  readonly seat: RoomSeat;
  readonly timeoutMs: number;
  readonly onEntered: (nick: string) => void;
  readonly onRefused: (error: GatewayError) => void;
}

/**
 * After how many milliseconds an unanswered question is asked once more: a room that is being
 * destroyed can swallow it (ejabberd 26.07).
 */
const askAgainMs = 2000;

/** The nick itself, then `nick-2` and `nick-3`. */
const maxNicks = 3;

/**
 * An attempt to enter a room. It asks the room first whether it exists, because a join would create it
 * (XEP-0045 §10.1), and then joins under the first nick that is free.
 */
export class RoomEntry {
  readonly #options: RoomEntryOptions;
  readonly #queryId = `room-${randomBytes(12).toString('hex')}`;
  readonly #nobodyId = `nobody-${randomBytes(12).toString('hex')}`;
  readonly #deadline: NodeJS.Timeout;
  readonly #again: NodeJS.Timeout;
  #tries = 0;
  #nick: string;

  constructor(options: RoomEntryOptions) {
    const { seat, timeoutMs, onRefused } = options;
    this.#options = options;
    this.#nick = seat.nick;
    this.#deadline = setTimeout(() => {
      this.cancel();
      onRefused(unavailable(`the room did not let the sender in within ${timeoutMs} ms`));
    }, timeoutMs);
    this.#again = setTimeout(() => this.#ask(), askAgainMs);
    this.#ask();
  }

  /** Takes a presence that the room sends to the occupant. */
  handlePresence(stanza: Element): void {
    if (this.#tries === 0) return;
    if (stanza.attrs['type'] === 'error') this.#handleRefusal(stanza);
    else this.#handleOwnPresence(stanza);
  }

  /** Gives up, and leaves if the room was already asked to let the occupant in. */
  cancel(): void {
    this.#stopWaiting();
    const { stream, seat } = this.#options;
    if (this.#tries > 0) stream.write(buildLeave(seat.jid, `${seat.room}/${this.#nick}`));
  }

  #ask(): void {
    const { stream, seat } = this.#options;
    const { jid, room } = seat;
    for (const id of [this.#queryId, this.#nobodyId]) {
      stream.expect(id, (stanza) => {
        const { from, to } = stanza.attrs;
        if (bareOf(String(from)) !== room || bareOf(String(to)) !== bareOf(jid)) return;
        this.#handleQueryAnswer(id, stanza);
      });
    }
    // Not as the occupant: if an earlier process has left it in the room, the room answers otherwise.
    const asker = `${bareOf(jid)}/${this.#queryId}`;
    // ejabberd with mod_privilege drops the first question: a component's, to a bare JID.
    stream.write(
      buildRoomQuery(this.#queryId, asker, room) +
        buildRoomQuery(this.#nobodyId, asker, `${room}/${this.#nobodyId}`),
    );
  }

  /** Only the first answer counts. */
  #handleQueryAnswer(id: string, stanza: Element): void {
    this.#stopAsking();
    const isError = stanza.attrs['type'] === 'error';
    if (id === this.#queryId ? isRoom(stanza) : isRoomWithout(stanza)) this.#join();
    else this.#refuse(isError ? this.#readRefusal(stanza) : notARoom(this.#options.seat.room));
  }

  #join(): void {
    const { stream, seat } = this.#options;
    this.#tries += 1;
    this.#nick = this.#tries === 1 ? seat.nick : `${seat.nick}-${this.#tries}`;
    stream.write(buildJoin(seat.jid, seat.room, this.#nick, seat.password));
  }

  #handleRefusal(stanza: Element): void {
    const error = this.#readRefusal(stanza);
    const isConflict = error.options.stanzaError?.condition === 'conflict';
    if (isConflict && this.#tries < maxNicks) this.#join();
    else this.#refuse(error);
  }

  #readRefusal(stanza: Element): GatewayError {
    const { jid, room } = this.#options.seat;
    return readOwnBounce(stanza, { from: jid, to: room, isGroupchat: true });
  }

  #handleOwnPresence(stanza: Element): void {
    const own = readOwnPresence(stanza, this.#nick);
    // Ignore the echo of our own earlier leave (unavailable). Without status 110 it is somebody
    // else's presence; a room still sends those to an occupant that a previous process left in it.
    if (own === undefined || !own.isThere || !own.isMarked) return;
    this.#nick = own.nick;
    if (own.isRoomNew) {
      this.cancel();
      this.#options.onRefused(vanished());
    } else {
      this.#stopWaiting();
      this.#options.onEntered(this.#nick);
    }
  }

  #refuse(error: GatewayError): void {
    this.#stopWaiting();
    this.#options.onRefused(error);
  }

  #stopWaiting(): void {
    clearTimeout(this.#deadline);
    this.#stopAsking();
  }

  #stopAsking(): void {
    clearTimeout(this.#again);
    for (const id of [this.#queryId, this.#nobodyId]) this.#options.stream.forget(id);
  }
}

/** RFC 6121 §8.5.2.2: a server answers so to a groupchat message for an account. */
function notARoom(address: string): GatewayError {
  const stanzaError = { condition: 'service-unavailable', type: 'cancel', text: undefined };
  return new GatewayError('bounced', `${address} is not a room.`, { stanzaError });
}

/** The room was destroyed between the question and the join, so the join created a new one. */
function vanished(): GatewayError {
  const stanzaError = { condition: 'item-not-found', type: 'cancel', text: undefined };
  return new GatewayError('bounced', 'The room does not exist any more.', { stanzaError });
}
