import type { Logger } from 'pino';
import type { MessageLimits, Stanza } from '../core/message/message.ts';
import type { Secret } from '../core/secret.ts';
import { Delivery } from './delivery/delivery.ts';
import { createRemoteConfirmation } from './delivery/remote-confirmation.ts';
import { StanzaSizes } from './delivery/stanza-sizes.ts';
import { createRoomHosts } from './rooms/hosts.ts';
import { createRooms } from './rooms/rooms.ts';
import { createDispatch, type Dispatch } from './routing.ts';
import type { ComponentAddress } from './stream/connection.ts';
import { type ComponentStream, createComponentStream } from './stream/supervisor.ts';
import type { Served } from './stream/trust-proof.ts';

/** All that turns messages into confirmed stanzas, over one component stream. */
export interface Sending extends Dispatch, Pick<ComponentStream, 'start' | 'readiness'> {
  readonly inFlight: () => ReturnType<Delivery['inFlight']>;
  /** Waits no longer for what other servers say of messages that our own has processed. */
  finish(): void;
  /** Tries sizes again that the server has refused: its limit may have been raised. */
  forgetSizes(): void;
  /** Leaves the rooms and closes the stream. */
  stop(): Promise<void>;
}

/** Whose stream, what it serves, and within which bounds. Times in milliseconds. */
export interface SendingOptions extends Served {
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
  readonly observer: SendingObserver;
}

/** Who is told what happens, for the metrics. */
export interface SendingObserver {
  readonly onStream: (isReady: boolean) => void;
  readonly onBarrier: (seconds: number) => void;
  readonly onLateBounce: () => void;
}

/** Composes stream, delivery, remote confirmation and rooms. */
export function createSending(options: SendingOptions): Sending {
  const { component, domains, mode, limits, log, observer } = options;
  const [barrierDomain = component.domain] = domains;
  const sizes = new StanzaSizes(limits.stanzaBytes, log);
  const delivery = new Delivery({
    sizes,
    ...options.delivery,
    onBarrier: observer.onBarrier,
    componentDomain: component.domain,
  });
  const deliver = (stanza: Stanza): Promise<void> => delivery.deliver(stanza);
  const remote = createRemoteConfirmation({
    timeoutMs: options.delivery.remoteConfirmMs,
    log,
    onLateBounce: observer.onLateBounce,
  });
  const roomHosts = createRoomHosts({ component: component.domain, barrierDomain });
  const rooms = createRooms({
    ...options.delivery,
    ...options.rooms,
    component: component.domain,
    limits,
    deliver,
  });
  const stream = createComponentStream({
    address: component,
    served: { domains, mode },
    log,
    events: {
      onReady: (connection, modes) => {
        delivery.attach(connection, modes);
        for (const part of [remote, roomHosts, rooms]) part.attach(connection);
        observer.onStream(true);
      },
      onStanza: (stanza) => {
        // Of messages with the same id those that our server has processed are the older ones.
        if (remote.takeBounce(stanza) || delivery.handleStanza(stanza)) return;
        for (const part of [remote, roomHosts, rooms]) part.handleStanza(stanza);
      },
      answerRequest: rooms.answerRequest,
      onDrain: () => delivery.handleDrain(),
      onClose: (failure) => {
        for (const part of [delivery, remote, roomHosts, rooms]) part.detach(failure);
        observer.onStream(false);
      },
    },
  });
  const { formOf } = stream;
  return {
    ...createDispatch({ domains, limits, sizes, formOf, delivery, remote, roomHosts, rooms }),
    start: stream.start,
    readiness: stream.readiness,
    inFlight: () => delivery.inFlight(),
    finish: remote.finish,
    forgetSizes: () => sizes.forget(),
    stop: async () => {
      rooms.leave();
      await stream.stop();
    },
  };
}
