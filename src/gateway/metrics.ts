import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { GatewayError } from '../core/errors.ts';
import { dropReasons } from '../http/server/connections.ts';
import type { InFlightCount, Observer } from './observer.ts';

/** What the gateway measures, for Prometheus. */
export interface Metrics extends Observer {
  /** All metrics in the text format of Prometheus. */
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Creates the metrics of the gateway and of Node.js. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const instruments = createInstruments(registry);
  const { requests, deliveries, logins, checks, connectionsDropped, storeAvailable } = instruments;
  // Without a first value of 0, Prometheus would not count the first drop as an increase.
  for (const reason of dropReasons) connectionsDropped.inc({ reason }, 0);
  let readInFlight: (() => InFlightCount) | undefined;
  let readStore: (() => void) | undefined;
  collectDefaultMetrics({ register: registry });

  return {
    read: async () => {
      const { count, bytes } = readInFlight?.() ?? { count: 0, bytes: 0 };
      instruments.messagesInFlight.set(count);
      instruments.bytesInFlight.set(bytes);
      readStore?.();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    onRequest: (endpoint, code, seconds) => {
      requests.inc({ endpoint, code });
      instruments.requestSeconds.observe({ endpoint }, seconds);
    },
    onLogin: (result) => logins.inc({ result }),
    onBarrier: (seconds) => instruments.barrierSeconds.observe(seconds),
    onStream: (isReady) => {
      instruments.streamReady.set(isReady ? 1 : 0);
      if (isReady) instruments.streamConnects.inc();
    },
    onLateBounce: () => instruments.lateBounces.inc(),
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
        instruments.deliverySeconds.observe((performance.now() - startedMs) / 1000);
      }
    },
    measurePasswordCheck: (check) => async (user, password) => {
      const stop = instruments.checkSeconds.startTimer();
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
      const available = storeAvailable();
      readStore = () => available.set(failure() === undefined ? 1 : 0);
    },
  };
}

const prefix = 'xmpp_message_gateway_';
const buckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

function createInstruments(registry: Registry) {
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, ...labelNames: T[]): Counter<T> =>
    new Counter({ name: prefix + name, help, labelNames, registers });
  const seconds = <T extends string>(
    name: string,
    help: string,
    ...labelNames: T[]
  ): Histogram<T> =>
    new Histogram({ name: `${prefix}${name}_seconds`, help, labelNames, buckets, registers });
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: prefix + name, help, registers });
  return {
    requests: counter('requests_total', 'Requests by endpoint and code.', 'endpoint', 'code'),
    requestSeconds: seconds('request_duration', 'Time to the answer.', 'endpoint'),
    deliveries: counter('deliveries_total', 'Messages by outcome.', 'outcome'),
    deliverySeconds: seconds('delivery_duration', 'Time to the receipt.'),
    barrierSeconds: seconds('barrier_duration', 'Time to the answer to a barrier.'),
    streamReady: gauge('stream_ready', '1 while messages can be sent.'),
    streamConnects: counter('stream_connects_total', 'Times that the stream became ready.'),
    lateBounces: counter('late_bounces_total', 'Messages that bounced after their answer.'),
    logins: counter('logins_total', 'Logins by result.', 'result'),
    checks: counter('password_checks_total', 'Checks at the XMPP server, by result.', 'result'),
    checkSeconds: seconds('password_check_duration', 'Time of such a check.'),
    connectionsDropped: counter(
      'connections_dropped_total',
      'Connections that were closed to make room, by reason.',
      'reason',
    ),
    messagesInFlight: gauge('in_flight_messages', 'Messages whose fate is not known yet.'),
    bytesInFlight: gauge('in_flight_bytes', 'Bytes of those messages.'),
    /** Only gateways with a store have this one. */
    storeAvailable: () => gauge('store_available', '1 while the store can be written.'),
  };
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : 'internal';
}
