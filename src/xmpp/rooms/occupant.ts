import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { resourceOf } from '../../core/jid/jid.ts';
import type { Stanza } from '../../core/message/message.ts';
import { readBounce, unavailable, unknown } from '../wire/outcome.ts';
import { enterRoom, type RoomEntry, type RoomSeat } from './entry.ts';
import { buildLeave, readOwnPresence } from './stanzas.ts';

/** One sender in one room. */
export interface RoomOccupant {
  /** Who made it speak first. */
  readonly caller: string;
  /** Resolves when the room has reflected the message; messages are sent in the order of calls. */
  say(stanza: Stanza): Promise<void>;
  /** Takes what the room says to the occupant. */
  handleStanza(stanza: Element): void;
  /** Whether no message waits for anything. */
  isIdle(): boolean;
  /** Whether the room has not let the occupant in yet: nothing is written. */
  isEntering(): boolean;
  /** The stream is lost; the occupant stays in the room, as far as anybody knows. */
  detach(reason: string): void;
  /** `error` is told to those whose messages wait to be written. */
  leave(error?: GatewayError): void;
}

/** A message on its way into the room. */
interface Saying {
  readonly stanza: Stanza;
  settle: (error?: unknown) => void;
  /** Whether our own server has processed it. */
  isProcessed: boolean;
  /** Whether the room has refused it once, because the occupant had lost its place. */
  isRepeated: boolean;
}

/**
 * Joins with the first message and whenever the room turns out not to know the occupant any more
 * (kicked, or the room's server was restarted); leaves when it has been silent for `idleMs`.
 */
export function createRoomOccupant(options: {
  readonly caller: string;
  readonly seat: RoomSeat;
  /** How long a message may take, and joining too. */
  readonly timeoutMs: number;
  readonly idleMs: number;
  readonly write: (xml: string) => void;
  /** Writes a message, and resolves when our own server has processed it. */
  readonly deliver: (stanza: Stanza) => Promise<void>;
  /** The occupant is not in the room, and nothing waits for it. */
  readonly onGone: () => void;
}): RoomOccupant {
  const { seat, timeoutMs, idleMs, write, deliver, onGone } = options;
  let waiting: Saying[] = [];
  let written: Saying[] = [];
  let entry: RoomEntry | undefined;
  /** The nick, as long as the occupant is in the room. */
  let nick: string | undefined;
  let idle: NodeJS.Timeout | undefined;

  const say = (stanza: Stanza): Promise<void> =>
    new Promise((resolve, reject) => {
      clearTimeout(idle);
      const saying: Saying = {
        stanza,
        settle: (error) => {
          clearTimeout(deadline);
          saying.settle = () => {};
          waiting = waiting.filter((it) => it !== saying);
          written = written.filter((it) => it !== saying);
          if (error === undefined) resolve();
          else reject(error);
          proceed();
        },
        isProcessed: false,
        isRepeated: false,
      };
      const deadline = setTimeout(() => saying.settle(timedOut(saying)), timeoutMs);
      waiting.push(saying);
      proceed();
    });

  const timedOut = (saying: Saying): Error =>
    written.includes(saying)
      ? unknown(`the room did not reflect it within ${timeoutMs} ms`)
      : unavailable(`the room did not let the sender in within ${timeoutMs} ms`);

  const proceed = (): void => {
    if (nick !== undefined) {
      for (const saying of waiting.splice(0)) void send(saying);
      if (written.length === 0) startIdle();
    } else if (entry === undefined && written.length === 0) {
      if (waiting.length > 0) enter();
      else onGone();
    }
  };

  const send = async (saying: Saying): Promise<void> => {
    written.push(saying);
    saying.isProcessed = false;
    try {
      await deliver(saying.stanza);
      saying.isProcessed = true;
    } catch (error) {
      refuse(saying, error);
    }
  };

  const enter = (): void => {
    entry = enterRoom({
      seat,
      timeoutMs,
      write,
      onEntered: (given) => {
        entry = undefined;
        nick = given;
        proceed();
      },
      onRefused: (error) => {
        entry = undefined;
        settleAll(waiting.splice(0), error);
        proceed();
      },
    });
  };

  const refuse = (saying: Saying, error: unknown): void => {
    if (!written.includes(saying) || saying.isRepeated || !isForStrangers(error)) {
      saying.settle(error);
      return;
    }
    // All that were written after it come back as well: in their order, they go before the rest.
    nick = undefined;
    saying.isRepeated = true;
    written = written.filter((it) => it !== saying);
    const place = waiting.findIndex(({ isRepeated }) => !isRepeated);
    waiting.splice(place === -1 ? waiting.length : place, 0, saying);
    proceed();
  };

  const handleMessage = (stanza: Element): void => {
    const { id, from, type } = stanza.attrs;
    const speaker = resourceOf(String(from));
    const isOwn = type === 'groupchat' && nick !== undefined && speaker === nick;
    // Rooms relay errors between occupants (XEP-0045 §7.5): those with a nick are not the room's.
    const isRefusal = type === 'error' && speaker === undefined;
    if (!isOwn && !isRefusal) return;
    const saying = written.find((it) => it.stanza.id === id);
    if (saying === undefined) return;
    if (isOwn) saying.settle();
    else refuse(saying, readBounce(stanza));
  };

  const handlePresence = (stanza: Element): void => {
    const own = nick === undefined ? undefined : readOwnPresence(stanza, nick);
    if (own === undefined || stanza.attrs['type'] === 'error') return;
    nick = own.isThere ? own.nick : own.nextNick;
    if (nick === undefined) {
      clearTimeout(idle);
      proceed();
    }
  };

  const startIdle = (): void => {
    clearTimeout(idle);
    idle = setTimeout(leave, idleMs);
  };

  const leave = (error = unavailable('the gateway is leaving the room')): void => {
    clearTimeout(idle);
    entry?.cancel();
    entry = undefined;
    if (nick !== undefined) write(buildLeave(seat.jid, `${seat.room}/${nick}`));
    nick = undefined;
    if (isIdle()) onGone();
    else settleAll(waiting.splice(0), error);
  };

  const isIdle = (): boolean => waiting.length + written.length === 0;

  return {
    caller: options.caller,
    say,
    handleStanza: (stanza) => {
      if (entry !== undefined) entry.handleStanza(stanza);
      else if (stanza.is('presence')) handlePresence(stanza);
      if (stanza.is('message')) handleMessage(stanza);
    },
    isIdle,
    isEntering: () => entry !== undefined,
    detach: (reason) => {
      entry?.cancel();
      entry = undefined;
      const unwritten = waiting.splice(0);
      const processed = written.filter(({ isProcessed }) => isProcessed);
      // What our server has not processed is told by `deliver`.
      settleAll(processed, unknown(reason));
      settleAll(unwritten, unavailable(reason));
      proceed();
    },
    leave,
  };
}

function settleAll(sayings: readonly Saying[], error: Error): void {
  for (const saying of sayings) saying.settle(error);
}

/** XEP-0045 §7.4: what a room answers to those who are not in it. */
function isForStrangers(error: unknown): boolean {
  return error instanceof GatewayError && error.options.stanzaError?.condition === 'not-acceptable';
}
