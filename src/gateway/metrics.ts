import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { LoginResult } from '../auth/login.ts';
import {
  GatewayError,
  type Problem,
  type ProblemCode,
  type ProblemPlace,
  problems,
} from '../core/errors.ts';
import type { RequestRecord } from '../http/request/log.ts';
import { dropReasons } from '../http/server/connections.ts';
import type { InFlightCount, Observer } from './observer.ts';

/** What the gateway measures, for Prometheus. */
export interface Metrics extends Observer {
  /** All metrics in the text format of Prometheus. */
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Creates the metrics of the gateway, whose version this is, and of Node.js. */
export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const instruments = createInstruments(registry);
  const { requests, deliveries, logins, checks, connectionsDropped, storeAvailable } = instruments;
  startAtZero(instruments);
  instruments.buildInfo.set({ version, node: process.version }, 1);
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
    onLateReceipt: () => instruments.lateReceipts.inc(),
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
  const gauge = <T extends string>(name: string, help: string, ...labelNames: T[]): Gauge<T> =>
    new Gauge({ name: prefix + name, help, labelNames, registers });
  return {
    buildInfo: gauge('build_info', 'Always 1; the labels say what is running.', 'version', 'node'),
    requests: counter('requests_total', 'Requests by endpoint and code.', 'endpoint', 'code'),
    requestSeconds: seconds('request_duration', 'Time to the answer.', 'endpoint'),
    deliveries: counter('deliveries_total', 'Messages by outcome.', 'outcome'),
    deliverySeconds: seconds('delivery_duration', 'Time to the receipt.'),
    barrierSeconds: seconds('barrier_duration', 'Time to the answer to a barrier.'),
    streamReady: gauge('stream_ready', '1 while messages can be sent.'),
    streamConnects: counter('stream_connects_total', 'Times that the stream became ready.'),
    lateBounces: counter('late_bounces_total', 'Messages that bounced after their answer.'),
    lateReceipts: counter('late_receipts_total', 'XEP-0184 receipts that came after the answer.'),
    logins: counter('logins_total', 'Logins by result.', 'result'),
    checks: counter('password_checks_total', 'Checks at the XMPP server, by result.', 'result'),
    checkSeconds: seconds('password_check_duration', 'Time of such a check.'),
    connectionsDropped: counter(
      'connections_dropped_total',
      'Connections that were closed to make room, by reason.',
      'reason',
    ),
    messagesInFlight: gauge('in_flight_messages', 'Messages whose fate is not known yet.'),
    bytesInFlight: gauge(
      'in_flight_bytes',
      'What those messages take in memory, as max_in_flight_bytes counts it.',
    ),
    /** Only gateways with a store have this one. */
    storeAvailable: () => gauge('store_available', '1 while the store can be written.'),
  };
}

type Endpoint = RequestRecord['route'];

/** The problems that each kind of request can be answered with. */
const placesOf: Readonly<Record<Endpoint, readonly ProblemPlace[]>> = {
  user: ['user'],
  api: ['api'],
  acl: ['acl', 'acl-change'],
  health: ['page'],
  problems: ['named-page'],
  docs: ['named-page'],
  none: ['named-page'],
};

/** The codes of requests that no problem ends. */
const otherCodes: Readonly<Record<Endpoint, readonly string[]>> = {
  user: ['ok', 'partial', 'aborted'],
  api: ['ok', 'partial', 'aborted'],
  acl: ['ok', 'aborted'],
  health: ['ok'],
  problems: ['ok'],
  docs: ['ok'],
  none: [],
};

const deliveryOutcomes: readonly ('confirmed' | ProblemCode)[] = [
  'confirmed',
  'bounced',
  'sender-refused',
  'too-large',
  'overloaded',
  'xmpp-unavailable',
  'delivery-unknown',
  'internal',
];

const loginResults: readonly LoginResult[] = [
  'cached',
  'checked',
  'refused',
  'throttled',
  'unavailable',
];

const checkResults = ['right', 'wrong', 'unavailable'];

/**
 * Gives every series a first value of 0: Prometheus does not count the appearance of a series as an
 * increase, so alerts would miss the first event of its kind.
 */
function startAtZero(instruments: ReturnType<typeof createInstruments>): void {
  const { requests, requestSeconds, deliveries, logins, checks, connectionsDropped } = instruments;
  for (const [endpoint, places] of Object.entries(placesOf)) {
    requestSeconds.zero({ endpoint });
    for (const code of codesAt(places)) requests.inc({ endpoint, code }, 0);
  }
  for (const [endpoint, codes] of Object.entries(otherCodes)) {
    for (const code of codes) requests.inc({ endpoint, code }, 0);
  }
  for (const outcome of deliveryOutcomes) deliveries.inc({ outcome }, 0);
  for (const result of loginResults) logins.inc({ result }, 0);
  for (const result of checkResults) checks.inc({ result }, 0);
  for (const reason of dropReasons) connectionsDropped.inc({ reason }, 0);
}

function codesAt(places: readonly ProblemPlace[]): string[] {
  const table: Readonly<Record<string, Problem>> = problems;
  return Object.entries(table)
    .filter(([, { at }]) => places.some((place) => at.includes(place)))
    .map(([code]) => code);
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : 'internal';
}
