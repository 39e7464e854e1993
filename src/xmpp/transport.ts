import type { Logger } from 'pino';
import type { MessageLimits, Stanza } from '../core/message/message.ts';
import type { Secret } from '../core/secret.ts';
import { Confirmations } from './delivery/confirmation.ts';
import { Delivery } from './delivery/delivery.ts';
import { StanzaSizes } from './delivery/stanza-sizes.ts';
import { RoomHosts } from './rooms/hosts.ts';
import { Rooms } from './rooms/rooms.ts';
import { type Outbound, routeInbound, routeOutbound } from './routing.ts';
import type { ComponentAddress } from './stream/connection.ts';
import { StreamHandle } from './stream/handle.ts';
import { type ComponentStream, createComponentStream } from './stream/supervisor.ts';
import type { Served } from './stream/trust-proof.ts';

/** Everything that turns messages into confirmed stanzas, over one component stream. */
export interface Transport
  extends Outbound,
    Pick<ComponentStream, 'start' | 'readiness' | 'lookForModules'> {
  readonly inFlight: () => ReturnType<Delivery['inFlight']>;
  /** As RoomHosts has it. */
  readonly isForRoom: RoomHosts['isForRoom'];
  /** Stops waiting for remote servers and receipts: callers learn what is known of their messages. */
  finish(): void;
  /** Tries stanza sizes again that the server has refused, because its limit may have been raised. */
  forgetSizes(): void;
  /** Leaves the rooms and closes the stream. */
  stop(): Promise<void>;
}

/** The component, the domains it serves, and the limits it keeps. Times in milliseconds. */
export interface TransportOptions extends Served {
  readonly component: ComponentAddress;
  readonly limits: MessageLimits;
  readonly delivery: {
    readonly confirmTimeoutMs: number;
    readonly silenceTimeoutMs: number;
    readonly maxInFlight: number;
    readonly maxInFlightBytes: number;
    readonly remoteConfirmMs: number;
  };
  readonly rooms: {
    readonly idleMs: number;
    readonly passwords: Readonly<Record<string, Secret>>;
  };
  readonly log: Logger;
  readonly observer: TransportObserver;
}

/** Called with what the metrics count. */
export interface TransportObserver {
  readonly onStream: (isReady: boolean) => void;
  readonly onBarrier: (seconds: number) => void;
  readonly onLateBounce: () => void;
  readonly onLateReceipt: () => void;
}

/** Composes stream, delivery, confirmations and rooms. */
export function createTransport(options: TransportOptions): Transport {
  const { component, domains, mode, limits, log, observer } = options;
  const sizes = new StanzaSizes(limits.stanzaBytes, log);
  const stream = new StreamHandle();
  const delivery = new Delivery({
    stream,
    sizes,
    ...options.delivery,
    onBarrier: observer.onBarrier,
    componentDomain: component.domain,
  });
  const confirmations = new Confirmations({
    stream,
    remoteMs: options.delivery.remoteConfirmMs,
    log,
    onLateBounce: observer.onLateBounce,
    onLateReceipt: observer.onLateReceipt,
  });
  const roomHosts = new RoomHosts({ stream, component: component.domain, domains });
  const rooms = new Rooms({
    stream,
    ...options.delivery,
    ...options.rooms,
    component: component.domain,
    limits,
    deliverToServer: (stanza: Stanza) => delivery.deliver(stanza),
  });
  stream.route(routeInbound({ delivery, confirmations, rooms }));
  const { start, stop, readiness, lookForModules, formOf } = createComponentStream({
    address: component,
    served: { domains, mode },
    log,
    events: {
      onReady: (connection, modes) => {
        stream.attach(connection);
        delivery.handleReady(modes);
        observer.onStream(true);
      },
      onModes: (modes) => {
        for (const part of [delivery, roomHosts, rooms]) part.handleModes(modes);
      },
      onStanza: (stanza) => stream.receive(stanza),
      answerRequest: (stanza) => rooms.answerRequest(stanza),
      onDrain: () => delivery.handleDrain(),
      onClose: (failure) => {
        stream.detach();
        for (const part of [delivery, confirmations, roomHosts, rooms]) part.handleClose(failure);
        observer.onStream(false);
      },
    },
  });
  return {
    ...routeOutbound({ domains, limits, sizes, formOf, delivery, confirmations, roomHosts, rooms }),
    start,
    readiness,
    lookForModules,
    inFlight: () => delivery.inFlight(),
    isForRoom: (message) => roomHosts.isForRoom(message),
    finish: () => confirmations.finish(),
    forgetSizes: () => sizes.forget(),
    stop: async () => {
      rooms.leave();
      await stop();
    },
  };
}
