import type { Logger } from 'pino';
import type { MessageLimits, Stanza } from '../core/message/message.ts';
import type { Secret } from '../core/secret.ts';
import { Delivery } from './delivery/delivery.ts';
import { RemoteConfirmation } from './delivery/remote-confirmation.ts';
import { StanzaSizes } from './delivery/stanza-sizes.ts';
import { RoomHosts } from './rooms/hosts.ts';
import { Rooms } from './rooms/rooms.ts';
import { type Outbound, routeInbound, routeOutbound } from './routing.ts';
import type { ComponentAddress } from './stream/connection.ts';
import { StreamHandle } from './stream/handle.ts';
import { type ComponentStream, createComponentStream } from './stream/supervisor.ts';
import type { Served } from './stream/trust-proof.ts';

/** Everything that turns messages into confirmed stanzas, over one component stream. */
export interface Transport extends Outbound, Pick<ComponentStream, 'start' | 'readiness'> {
  readonly inFlight: () => ReturnType<Delivery['inFlight']>;
  /** As RoomHosts has it. */
  readonly isForRoom: RoomHosts['isForRoom'];
  /** Stops waiting for remote servers: callers learn that our own server has processed the message. */
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
}

/** Composes stream, delivery, remote confirmation and rooms. */
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
  const remote = new RemoteConfirmation({
    stream,
    timeoutMs: options.delivery.remoteConfirmMs,
    log,
    onLateBounce: observer.onLateBounce,
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
  stream.route(routeInbound({ delivery, remote, rooms }));
  const { start, stop, readiness, formOf } = createComponentStream({
    address: component,
    served: { domains, mode },
    log,
    events: {
      onReady: (connection, modes) => {
        stream.attach(connection);
        delivery.handleReady(modes);
        observer.onStream(true);
      },
      onStanza: (stanza) => stream.receive(stanza),
      answerRequest: (stanza) => rooms.answerRequest(stanza),
      onDrain: () => delivery.handleDrain(),
      onClose: (failure) => {
        stream.detach();
        for (const part of [delivery, remote, roomHosts, rooms]) part.handleClose(failure);
        observer.onStream(false);
      },
    },
  });
  return {
    ...routeOutbound({ domains, limits, sizes, formOf, delivery, remote, roomHosts, rooms }),
    start,
    readiness,
    inFlight: () => delivery.inFlight(),
    isForRoom: (message) => roomHosts.isForRoom(message),
    finish: () => remote.finish(),
    forgetSizes: () => sizes.forget(),
    stop: async () => {
      rooms.leave();
      await stop();
    },
  };
}
