import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';

/** What is known of a request so far, for its answer and its line in the log. */
export interface RequestRecord {
  readonly id: string;
  /** Address of the client. */
  readonly address: string;
  readonly startedMs: number;
  /** The trace that the request belongs to, if the client says so. */
  readonly traceId: string | undefined;
  route: 'user' | 'api' | 'acl' | 'health' | 'problems' | 'docs' | 'none';
  /** The bare JID of the user who sends, or whose permissions are asked for; normalised. */
  sender?: string;
  recipientDomain?: string;
  /** Of an answer that may be that of an earlier request. */
  code?: string;
  /** The stanza was only shown, not sent. */
  dryRun?: boolean;
}

/** Begins the record of a request from a client at `address`, part of the trace `traceId`. */
export function createRequestRecord(address: string, traceId?: string): RequestRecord {
  return { id: randomUUID(), address, startedMs: performance.now(), traceId, route: 'none' };
}

/** How a request ended; `reason` is the sentence behind a 5xx. */
export interface RequestOutcome {
  readonly method: string;
  readonly status: number;
  readonly code: string;
  readonly reason?: string | undefined;
}

const quietRoutes: ReadonlySet<RequestRecord['route']> = new Set(['health', 'problems', 'docs']);

/** Writes the log line of a request: no body, no credentials, of the recipient only the domain. */
export function logRequest(log: Logger, record: RequestRecord, outcome: RequestOutcome): void {
  const isQuiet = quietRoutes.has(record.route);
  log[isQuiet ? 'debug' : 'info'](
    {
      request: record.id,
      method: outcome.method,
      route: record.route,
      status: outcome.status,
      code: record.code ?? outcome.code,
      reason: outcome.reason,
      sender: record.sender,
      recipientDomain: record.recipientDomain,
      dryRun: record.dryRun,
      address: record.address,
      traceId: record.traceId,
      durationMs: Math.round((performance.now() - record.startedMs) * 1000) / 1000,
    },
    'request',
  );
}

/** version "-" trace-id "-" parent-id "-" trace-flags, and what later versions put behind it */
const traceparent =
  /^(?<version>[0-9a-f]{2})-(?<trace>[0-9a-f]{32})-(?<parent>[0-9a-f]{16})-[0-9a-f]{2}(?<more>-.*)?$/;

/**
 * The trace id of a `traceparent` header (W3C Trace Context §3.2); undefined without header, and for
 * one that is to be ignored because it is not valid.
 */
export function parseTraceId(header: string | undefined): string | undefined {
  const { version, trace, parent, more } = traceparent.exec(header ?? '')?.groups ?? {};
  // §3.2.2.1: ff is forbidden; §3.2.2.2: version 00 has four fields; ids of zeros are invalid
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && more !== undefined) return undefined;
  if (isZero(trace) || isZero(parent)) return undefined;
  return trace;
}

function isZero(id: string | undefined): boolean {
  return id === undefined || /^0+$/.test(id);
}
