import type { Logger } from 'pino';
import type { WireForm } from '../core/mode.ts';
import type { Readiness } from '../core/readiness.ts';
import type { ComponentAddress, ComponentConnection } from './component-connection.ts';
import { adviceFor } from './server-advice.ts';
import type { StreamFailure } from './stream-failure.ts';
import {
  type DomainModes,
  openTrustedStream,
  type Served,
  type StreamEvents,
} from './trusted-stream.ts';

/** A component stream that is kept up. */
export interface ComponentStream {
  start(): void;
  /** Closes the stream and stops reconnecting. */
  stop(): Promise<void>;
  readiness(): Readiness;
  /** How messages of a served domain are sent now; while the stream is down, as they last were. */
  formOf(domain: string): WireForm;
}

/** Waits in milliseconds before the n-th attempt in a row; the last one goes on for ever. */
const backOffMs = [0, 100, 200, 400, 800, 1000];

const plain: WireForm = { mode: 'plain' };

/** A stream that lasted so long, in milliseconds, is reopened at once. */
const stableMs = 10_000;

/** Wait in milliseconds when only an operator can help. */
const misconfiguredBackOffMs = 4000;

/**
 * Keeps one trusted component stream open: reconnects with back-off and jitter, slowly when the
 * server refuses the component, and logs each new reason with what to do about it.
 */
export function createComponentStream(options: {
  readonly address: ComponentAddress;
  readonly served: Served;
  readonly log: Logger;
  readonly events: StreamEvents;
}): ComponentStream {
  const { address, served, log, events } = options;
  let connection: ComponentConnection | undefined;
  let timer: NodeJS.Timeout | undefined;
  let modes: DomainModes = new Map();
  let attempts = 0;
  let isStopped = false;
  let toldReason: string | undefined;
  let readiness: Readiness = { ready: false, reason: 'the component stream is being opened' };

  const open = (): void => {
    let readyAt: number | undefined;
    connection = openTrustedStream(address, served, {
      ...events,
      onReady: (ready, found) => {
        readyAt = performance.now();
        modes = found;
        const domains = Object.fromEntries(
          [...found].map(([domain, { report }]) => [domain, report]),
        );
        readiness = { ready: true, domains };
        toldReason = undefined;
        log.info({ component: address.domain, domains }, 'component stream ready');
        events.onReady(ready, found);
      },
      onClose: (failure) => {
        connection = undefined;
        const wasReady = readyAt !== undefined;
        const reason = wasReady
          ? `the component stream was lost: ${failure.reason}`
          : failure.reason;
        if (readyAt !== undefined && performance.now() - readyAt >= stableMs) {
          attempts = 0;
        }
        readiness = { ready: false, reason };
        events.onClose(failure);
        if (!isStopped) {
          retry(failure, reason);
        }
      },
    });
  };

  const retry = (failure: StreamFailure, reason: string): void => {
    const delayMs = Math.round(backOff(failure, attempts) * (0.75 + Math.random() / 4));
    const advice = adviceFor(failure, address);
    const level = reason === toldReason ? 'debug' : 'warn';
    log[level]({ reason, advice, attempt: attempts, retryInMs: delayMs }, 'component stream down');
    toldReason = reason;
    attempts += 1;
    timer = setTimeout(open, delayMs);
  };

  return {
    start: open,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await connection?.close();
    },
    readiness: () => readiness,
    formOf: (domain) => modes.get(domain)?.form ?? plain,
  };
}

function backOff(failure: StreamFailure, attempts: number): number {
  const mayPass = ['unreachable', 'unanswered', 'probe-lost'].includes(failure.kind);
  return mayPass
    ? (backOffMs[Math.min(attempts, backOffMs.length - 1)] ?? 0)
    : misconfiguredBackOffMs;
}
