import { GatewayError } from '../core/errors.ts';
import {
  type Arrival,
  type Deliver,
  type Message,
  type MessageLimits,
  mayRequestReceipt,
  type Stanza,
  serializeMessage,
  withReceiptRequest,
} from '../core/message/message.ts';
import type { WireForm } from '../core/message/mode.ts';
import type { Confirmations } from './delivery/confirmation.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { StanzaSizes } from './delivery/stanza-sizes.ts';
import type { RoomHosts } from './rooms/hosts.ts';
import type { Rooms } from './rooms/rooms.ts';
import type { StanzaRoutes } from './stream/handle.ts';

/** Who reads which incoming stanza, answers to questions apart. The first reader that takes it is the last. */
export function routeInbound(parts: {
  readonly delivery: Delivery;
  readonly confirmations: Confirmations;
  readonly rooms: Rooms;
}): StanzaRoutes {
  const { delivery, confirmations, rooms } = parts;
  return {
    bounce: [
      // Of several messages with the same id, those that our server has processed are the older ones.
      (stanza) => confirmations.takeBounceOfProcessed(stanza),
      (stanza) => delivery.takeBounce(stanza),
      // No longer in the delivery: our server has processed it just now, and the caller still waits.
      (stanza) => confirmations.takeBounceOfInFlight(stanza),
      (stanza) => confirmations.takeLateBounce(stanza),
      (stanza) => rooms.takeStanza(stanza),
    ],
    message: [(stanza) => confirmations.takeReceipt(stanza), (stanza) => rooms.takeStanza(stanza)],
    presence: [(stanza) => rooms.takeStanza(stanza)],
  };
}

/** Sends each message in the form that its sender's domain has at that moment. */
export interface Outbound {
  /** The stanza as it would be sent now; throws GatewayError `too-large`. */
  buildStanza(message: Message): Stanza;
  readonly deliver: Deliver;
}

/** Chooses the way of each message: to a room or to our server, and who else is asked for a confirmation. */
export function routeOutbound(options: {
  readonly domains: readonly string[];
  readonly limits: MessageLimits;
  readonly sizes: Pick<StanzaSizes, 'refuse'>;
  readonly formOf: (domain: string) => WireForm;
  readonly delivery: Delivery;
  readonly confirmations: Confirmations;
  readonly roomHosts: RoomHosts;
  readonly rooms: Rooms;
}): Outbound {
  const { limits, formOf, delivery, confirmations, roomHosts, rooms } = options;
  const local = new Set(options.domains);

  // Any other groupchat message is left to the server to refuse (RFC 6121 §8.5).
  const isForRoom = ({ type, to }: Message): boolean =>
    type === 'groupchat' &&
    to.local !== undefined &&
    to.resource === undefined &&
    !local.has(to.domain);

  const deliverToRoom: Deliver = async (message) => {
    const { mode } = formOf(message.from.domain);
    const stanza = rooms.buildStanza(message);
    const { id, from, to } = stanza;
    await rooms.deliver(stanza, message.from);
    // The reflection comes from the room's own server.
    return { id, from, to, mode, confirmed: 'remote' };
  };

  const deliverGroupchat: Deliver = async (message) => {
    const needsNoJoin =
      maySpeakWithoutJoining(formOf(message.from.domain)) &&
      (await roomHosts.speakWithoutJoining(message.to.domain));
    return needsNoJoin
      ? deliverToServer(message).catch(joinIfThatHelps(message, deliverToRoom))
      : deliverToRoom(message);
  };

  const deliverToServer: Deliver = async (message) => {
    const form = formOf(message.from.domain);
    const { caller } = message;
    const isAwaited = mayAwaitReceipt(message, form) && confirmations.mayAwaitReceipt(caller);
    const sent = isAwaited ? withReceiptRequest(message) : message;
    const stanza = serializeMessage(sent, limits, form);
    const { id, from, to } = stanza;
    // Only in client mode do later bounces come to the gateway.
    const isRemote = form.mode === 'client' && !local.has(to.domain);
    const waitMs = isAwaited ? message.waitMs : undefined;
    const watch =
      isRemote || isAwaited ? confirmations.watch(stanza, { isRemote, waitMs, caller }) : undefined;
    try {
      await delivery.deliver(stanza, () => {
        confirmations.handleNext(stanza);
        watch?.begin();
      });
    } catch (error) {
      watch?.forget();
      const isUnknown = error instanceof GatewayError && error.code === 'delivery-unknown';
      if (!isUnknown || watch?.hasReceipt() !== true) throw error;
      return { id, from, to, mode: form.mode, confirmed: 'recipient', arrival: arrived };
    }
    const known = watch === undefined ? ({ confirmed: 'server' } as const) : await watch.confirm();
    return { id, from, to, mode: form.mode, ...known };
  };

  return {
    buildStanza: (message) => {
      const form = formOf(message.from.domain);
      const sent = mayAwaitReceipt(message, form) ? withReceiptRequest(message) : message;
      const stanza =
        isForRoom(message) && !maySpeakWithoutJoining(form)
          ? rooms.buildStanza(message)
          : serializeMessage(sent, limits, form);
      options.sizes.refuse(stanza);
      return stanza;
    },
    deliver: (message) =>
      isForRoom(message) ? deliverGroupchat(message) : deliverToServer(message),
  };
}

/** Of a message whose receipt has come already. */
const arrived: Arrival = {
  confirmed: Promise.resolve('recipient'),
  onLate: () => undefined,
  end: () => undefined,
};

/** Whether the caller wants to wait for a receipt, and one would come to the gateway. */
function mayAwaitReceipt(message: Message, form: WireForm): boolean {
  const isWanted = message.waitMs !== undefined && mayRequestReceipt(message);
  return isWanted && form.mode === 'client' && form.returnsReceipts;
}

/**
 * An occupant has the room's password, and other nicks, so it may get in where its user may not speak.
 * What has come back has not been said.
 */
function joinIfThatHelps(message: Message, deliverToRoom: Deliver) {
  return (error: unknown): ReturnType<Deliver> => {
    const condition = error instanceof GatewayError && error.options.stanzaError?.condition;
    if (condition !== 'not-authorized' && condition !== 'conflict') throw error;
    return deliverToRoom(message);
  };
}

function maySpeakWithoutJoining(form: WireForm): boolean {
  return form.mode === 'client' && form.speaksInRooms;
}
