import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { GatewayError } from '../core/errors.ts';
import { dropReasons } from '../http/server/connections.ts';
import type { InFlightCount, Observer } from './observer.ts';

/** What the gateway measures of itself, for Prometheus. */
export interface Metrics extends Observer {
  /** All of it in the text format of Prometheus. */
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

const prefix = 'xmpp_message_gateway_';
const fast = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Creates metrics that have counted nothing yet, Node's own among them. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: T[]): Counter<T> =>
    new Counter({ name: `${prefix}${name}`, help, labelNames, registers });
  const histogram = <T extends string>(name: string, help: string, labelNames: T[]): Histogram<T> =>
    new Histogram({ name: `${prefix}${name}`, help, labelNames, buckets: fast, registers });
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `${prefix}${name}`, help, registers });

  const requests = counter('requests_total', 'Requests by endpoint and code.', [
    'endpoint',
    'code',
  ]);
  const requestSeconds = histogram('request_duration_seconds', 'Time to the answer.', ['endpoint']);
  const deliveries = counter('deliveries_total', 'Messages by outcome.', ['outcome']);
  const deliverySeconds = histogram('delivery_duration_seconds', 'Time to the receipt.', []);
  const barrierSeconds = histogram(
    'barrier_duration_seconds',
    'Time to the answer to a barrier.',
    [],
  );
  const streamReady = gauge('stream_ready', '1 while messages can be sent.');
  const streamConnects = counter(
    'stream_connects_total',
    'Times that the stream became ready.',
    [],
  );
  const lateBounces = counter(
    'late_bounces_total',
    'Messages that bounced after their answer.',
    [],
  );
  const logins = counter('logins_total', 'Logins by result.', ['result']);
  const checks = counter('password_checks_total', 'Checks at the XMPP server, by result.', [
    'result',
  ]);
  const checkSeconds = histogram('password_check_duration_seconds', 'Time of such a check.', []);
  const connectionsDropped = counter(
    'connections_dropped_total',
    'Connections that were closed for want of room, by reason.',
    ['reason'],
  );
  // They begin at 0: Prometheus sees no increase in the first value of a counter.
  for (const reason of dropReasons) connectionsDropped.inc({ reason }, 0);
  const messagesInFlight = gauge('in_flight_messages', 'Messages whose fate is not known yet.');
  const bytesInFlight = gauge('in_flight_bytes', 'Bytes of those messages.');
  let readInFlight: (() => InFlightCount) | undefined;
  let readStore: (() => void) | undefined;
  collectDefaultMetrics({ register: registry });

  return {
    read: async () => {
      const { count, bytes } = readInFlight?.() ?? { count: 0, bytes: 0 };
      messagesInFlight.set(count);
      bytesInFlight.set(bytes);
      readStore?.();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    onRequest: (endpoint, code, seconds) => {
      requests.inc({ endpoint, code });
      requestSeconds.observe({ endpoint }, seconds);
    },
    onLogin: (result) => logins.inc({ result }),
    onBarrier: (seconds) => barrierSeconds.observe(seconds),
    onStream: (isReady) => {
      streamReady.set(isReady ? 1 : 0);
      if (isReady) streamConnects.inc();
    },
    onLateBounce: () => lateBounces.inc(),
    onConnectionDropped: (reason) => connectionsDropped.inc({ reason }),
    measureDelivery: (deliver) => async (message) => {
      const startedMs = performance.now();
      let outcome: string = 'confirmed';
      try {
        return await deliver(message);
      } catch (error) {
        outcome = codeOf(error);
        throw error;
      } finally {
        deliveries.inc({ outcome });
        deliverySeconds.observe((performance.now() - startedMs) / 1000);
      }
    },
    measurePasswordCheck: (check) => async (user, password) => {
      const stop = checkSeconds.startTimer();
      let result = 'unavailable';
      try {
        const isRight = await check(user, password);
        result = isRight ? 'right' : 'wrong';
        return isRight;
      } finally {
        checks.inc({ result });
        stop();
      }
    },
    watchInFlight: (read) => {
      readInFlight = read;
    },
    watchStore: (failure) => {
      const available = gauge('store_available', '1 while the store takes what is written.');
      readStore = () => available.set(failure() === undefined ? 1 : 0);
    },
  };
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : 'internal';
}
