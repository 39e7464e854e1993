import type { Deliver, Message, MessageLimits, Stanza } from '../core/message.ts';
import { serializeMessage } from '../core/message.ts';
import type { WireForm } from '../core/mode.ts';
import type { Delivery } from './delivery.ts';
import type { RemoteConfirmation } from './remote-confirmation.ts';

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
  readonly formOf: (domain: string) => WireForm;
  readonly delivery: Delivery;
  readonly remote: RemoteConfirmation;
}): Dispatch {
  const { limits, formOf, delivery, remote } = options;
  const local = new Set(options.domains);
  return {
    buildStanza: (message) => serializeMessage(message, limits, formOf(message.from.domain)),
    deliver: async (message) => {
      const form = formOf(message.from.domain);
      const stanza = serializeMessage(message, limits, form);
      const { id, from, to } = stanza;
      // Only in client mode do later bounces come to the gateway.
      const isWatched = form.mode === 'client' && !local.has(to.domain);
      if (isWatched) remote.watch(stanza);
      await delivery.deliver(stanza);
      const confirmed = isWatched ? await remote.confirm(stanza) : 'server';
      return { id, from, to, mode: form.mode, confirmed };
    },
  };
}
