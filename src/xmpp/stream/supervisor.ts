import type { Logger } from 'pino';
import type { ModeReport, WireForm } from '../../core/message/mode.ts';
import type { Readiness } from '../../core/message/readiness.ts';
import { adviceFor } from '../server/advice.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';
import type { ComponentAddress } from './connection.ts';
import type { DomainModes, Served } from './trust-proof.ts';
import { openTrustedStream, type StreamEvents, type TrustedConnection } from './trusted-stream.ts';

/** A component stream that is reopened whenever it ends. */
export interface ComponentStream {
  start(): void;
  /** Closes the stream and stops reconnecting. */
  stop(): Promise<void>;
  /** Looks now, and not only from time to time, for modules that the server has loaded meanwhile. */
  lookForModules(): void;
  readiness(): Readiness;
  /** The current form of messages from a served domain; while the stream is down, the last one. */
  formOf(domain: string): WireForm;
}

/** Milliseconds to wait before each attempt in a row; the last value is for all further attempts. */
const backOffMs = [0, 100, 200, 400, 800, 1000];

const plain: WireForm = { mode: 'plain' };

/** After a stream that lasted this many milliseconds, the next attempt comes at once. */
const stableMs = 10_000;

/** Milliseconds to wait when only an operator can help. */
const misconfiguredBackOffMs = 4000;

/** The reason why nothing can be sent, until the first attempt to open the stream has ended. */
export const streamOpening = 'the component stream is being opened';

/**
 * Keeps one trusted component stream open. It reconnects with back-off and jitter, slowly when the
 * server refuses the component, and logs each new reason together with what to do about it.
 */
export function createComponentStream(options: {
  readonly address: ComponentAddress;
  readonly served: Served;
  readonly log: Logger;
  readonly events: StreamEvents;
}): ComponentStream {
  const { address, served, log, events } = options;
  let connection: TrustedConnection | undefined;
  let timer: NodeJS.Timeout | undefined;
  let modes: DomainModes = new Map();
  let attempts = 0;
  let isStopped = false;
  let loggedReason: string | undefined;
  let readiness: Readiness = { ready: false, reason: streamOpening };

  const take = (found: DomainModes): void => {
    logChanges(log, modes, found);
    modes = found;
    readiness = { ready: true, domains: reportsOf(found) };
  };

  const open = (): void => {
    let readyAt: number | undefined;
    connection = openTrustedStream(address, served, {
      ...events,
      onReady: (ready, found) => {
        readyAt = performance.now();
        loggedReason = undefined;
        take(found);
        log.info(
          { component: address.domain, domains: reportsOf(found) },
          'component stream ready',
        );
        events.onReady(ready, found);
      },
      onModes: (found) => {
        take(found);
        events.onModes?.(found);
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
    const level = reason === loggedReason ? 'debug' : 'warn';
    log[level]({ reason, advice, attempt: attempts, retryInMs: delayMs }, 'component stream down');
    loggedReason = reason;
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
    lookForModules: () => connection?.lookForModules(),
    readiness: () => readiness,
    formOf: (domain) => modes.get(domain)?.form ?? plain,
  };
}

function logChanges(log: Logger, modes: DomainModes, found: DomainModes): void {
  for (const [domain, { form }] of found) {
    const before = modes.get(domain)?.form.mode;
    if (before === undefined || before === form.mode) continue;
    log.warn({ domain, before, now: form.mode }, 'mode changed');
  }
}

function reportsOf(modes: DomainModes): Readonly<Record<string, ModeReport>> {
  return Object.fromEntries([...modes].map(([domain, { report }]) => [domain, report]));
}

function backOff(failure: StreamFailure, attempts: number): number {
  const mayPass = ['unreachable', 'unanswered', 'probe-lost', 'module-gone'].includes(failure.kind);
  return mayPass
    ? (backOffMs[Math.min(attempts, backOffMs.length - 1)] ?? 0)
    : misconfiguredBackOffMs;
}
