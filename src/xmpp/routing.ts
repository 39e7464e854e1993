import {
  type Deliver,
  type Message,
  type MessageLimits,
  type Stanza,
  serializeMessage,
} from '../core/message/message.ts';
import type { WireForm } from '../core/message/mode.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { RemoteConfirmation } from './delivery/remote-confirmation.ts';
import type { StanzaSizes } from './delivery/stanza-sizes.ts';
import type { RoomHosts } from './rooms/hosts.ts';
import type { Rooms } from './rooms/rooms.ts';

/** Sends messages in the form that their sender's domain wants at that moment. */
export interface Dispatch {
  /** The stanza as it would be sent now; throws GatewayError `too-large`. */
  buildStanza(message: Message): Stanza;
  readonly deliver: Deliver;
}

/** Composes the form, the confirmation of our own server and that of the recipient's. */
export function createDispatch(options: {
  readonly domains: readonly string[];
  readonly limits: MessageLimits;
  readonly sizes: Pick<StanzaSizes, 'refuse'>;
  readonly formOf: (domain: string) => WireForm;
  readonly delivery: Delivery;
  readonly remote: RemoteConfirmation;
  readonly roomHosts: RoomHosts;
  readonly rooms: Rooms;
}): Dispatch {
  const { limits, formOf, delivery, remote, roomHosts, rooms } = options;
  const local = new Set(options.domains);

  // What else has the type groupchat is left to the server to refuse (RFC 6121 §8.5).
  const isForRoom = ({ type, to }: Message): boolean =>
    type === 'groupchat' &&
    to.local !== undefined &&
    to.resource === undefined &&
    !local.has(to.domain);

  const deliverToRoom: Deliver = async (message) => {
    const { mode } = formOf(message.from.domain);
    const { local: nick = '' } = message.from;
    const stanza = rooms.buildStanza(message);
    const { id, from, to } = stanza;
    await rooms.deliver(stanza, nick);
    // The reflection is the word of the room's own server.
    return { id, from, to, mode, confirmed: 'remote' };
  };

  const deliverToServer: Deliver = async (message) => {
    const form = formOf(message.from.domain);
    const stanza = serializeMessage(message, limits, form);
    const { id, from, to } = stanza;
    // Only in client mode do later bounces come to the gateway.
    const isWatched = form.mode === 'client' && !local.has(to.domain);
    const watch = isWatched ? remote.watch(stanza) : undefined;
    try {
      await delivery.deliver(stanza);
    } catch (error) {
      watch?.forget();
      throw error;
    }
    const confirmed = (await watch?.confirm()) ?? 'server';
    return { id, from, to, mode: form.mode, confirmed };
  };

  return {
    buildStanza: (message) => {
      const form = formOf(message.from.domain);
      const stanza =
        isForRoom(message) && !maySpeakWithoutJoining(form)
          ? rooms.buildStanza(message)
          : serializeMessage(message, limits, form);
      options.sizes.refuse(stanza);
      return stanza;
    },
    deliver: async (message) => {
      if (!isForRoom(message)) return deliverToServer(message);
      const isFree =
        maySpeakWithoutJoining(formOf(message.from.domain)) &&
        (await roomHosts.speakWithoutJoining(message.to.domain));
      return isFree ? deliverToServer(message) : deliverToRoom(message);
    },
  };
}

function maySpeakWithoutJoining(form: WireForm): boolean {
  return form.mode === 'client' && form.speaksInRooms;
}
