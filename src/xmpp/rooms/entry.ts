import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { bareOf } from '../../core/jid/jid.ts';
import type { Secret } from '../../core/secret.ts';
import { readBounce, unavailable } from '../wire/outcome.ts';
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

/** An attempt to enter a room; exactly one of its callbacks is called, unless it is cancelled. */
export interface RoomEntry {
  /** Takes what the room says to the occupant. */
  handleStanza(stanza: Element): void;
  /** Gives up, and leaves if the room was already asked to let the occupant in. */
  cancel(): void;
}

/**
 * After how long in milliseconds an unanswered question is asked once more: a room that is being
 * destroyed can swallow it (ejabberd 26.07).
 */
const askAgainMs = 2000;

/** The nick itself, then `nick-2` and `nick-3`. */
const maxNicks = 3;

/**
 * Asks the room whether it exists, for a join would create it (XEP-0045 §10.1), and joins under the
 * first nick that nobody has.
 */
export function enterRoom(options: {
  readonly seat: RoomSeat;
  readonly timeoutMs: number;
  readonly write: (xml: string) => void;
  readonly onEntered: (nick: string) => void;
  readonly onRefused: (error: GatewayError) => void;
}): RoomEntry {
  const { seat, timeoutMs, write, onEntered, onRefused } = options;
  const { jid, room } = seat;
  const queryId = `room-${randomBytes(12).toString('hex')}`;
  const nobodyId = `nobody-${randomBytes(12).toString('hex')}`;
  let isAnswered = false;
  let tries = 0;
  let nick = seat.nick;

  const cancel = (): void => {
    stopWaiting();
    if (tries > 0) write(buildLeave(jid, `${room}/${nick}`));
  };
  const refuse = (error: GatewayError): void => {
    stopWaiting();
    onRefused(error);
  };
  const join = (): void => {
    tries += 1;
    nick = tries === 1 ? seat.nick : `${seat.nick}-${tries}`;
    write(buildJoin(jid, room, nick, seat.password));
  };
  const deadline = setTimeout(() => {
    cancel();
    onRefused(unavailable(`the room did not let the sender in within ${timeoutMs} ms`));
  }, timeoutMs);

  const handleQueryAnswer = (stanza: Element): void => {
    const { id } = stanza.attrs;
    if (isAnswered || (id !== queryId && id !== nobodyId)) return;
    isAnswered = true;
    clearTimeout(again);
    const isError = stanza.attrs['type'] === 'error';
    if (id === queryId ? isRoom(stanza) : isRoomWithout(stanza)) join();
    else refuse(isError ? readBounce(stanza) : notARoom());
  };
  const handleRefusal = (stanza: Element): void => {
    const error = readBounce(stanza);
    if (error.options.stanzaError?.condition === 'conflict' && tries < maxNicks) join();
    else refuse(error);
  };
  const handlePresence = (stanza: Element): void => {
    const own = readOwnPresence(stanza, nick);
    // Not there: the echo of an earlier leave. Not marked: somebody else, of whom the room still
    // tells an occupant that an earlier process has left there.
    if (own === undefined || !own.isThere || !own.isMarked) return;
    nick = own.nick;
    if (own.isRoomNew) {
      cancel();
      onRefused(vanished());
    } else {
      stopWaiting();
      onEntered(nick);
    }
  };

  // Not as the occupant: an earlier process may have left it in the room, which then answers otherwise.
  const asker = `${bareOf(jid)}/${queryId}`;
  // ejabberd with mod_privilege drops the first: it comes from a component, and is for a bare JID.
  const ask = (): void =>
    write(
      buildRoomQuery(queryId, asker, room) + buildRoomQuery(nobodyId, asker, `${room}/${nobodyId}`),
    );
  const again = setTimeout(ask, askAgainMs);
  const stopWaiting = (): void => {
    clearTimeout(deadline);
    clearTimeout(again);
  };
  ask();
  return {
    handleStanza: (stanza) => {
      if (stanza.is('iq')) {
        handleQueryAnswer(stanza);
      } else if (stanza.is('presence') && tries > 0) {
        if (stanza.attrs['type'] === 'error') handleRefusal(stanza);
        else handlePresence(stanza);
      }
    },
    cancel,
  };
}

/** RFC 6121 §8.5.2.2: what a server says of groupchat to an account. */
function notARoom(): GatewayError {
  const stanzaError = { condition: 'service-unavailable', type: 'cancel', text: undefined };
  return new GatewayError('bounced', 'The recipient is not a room.', { stanzaError });
}

/** The room was destroyed between the question and the join, which made a new one. */
function vanished(): GatewayError {
  const stanzaError = { condition: 'item-not-found', type: 'cancel', text: undefined };
  return new GatewayError('bounced', 'The room does not exist any more.', { stanzaError });
}
