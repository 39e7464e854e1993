import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';

/** What is known about a request so far, for its answer and its log line. */
export interface RequestRecord {
  readonly id: string;
  /** Address of the client. */
  readonly address: string;
  readonly startedMs: number;
  /** The trace that the request belongs to, according to the client. */
  readonly traceId: string | undefined;
  route: 'user' | 'api' | 'acl' | 'health' | 'problems' | 'docs' | 'none';
  /** The API account, once its password was right. */
  account?: string;
  /** What was asked for; undefined as long as that is not known. */
  action?: 'send' | 'show' | 'grant' | 'revoke';
  /** The normalised bare JID of the sender. */
  sender?: string;
  /** That of the user whose permission is shown or changed. */
  target?: string;
  recipientDomain?: string;
  /** How many recipients a list has. */
  recipients?: number;
  /** What became of the messages of a list, or of the lines of a request with many messages. */
  counts?: { readonly lines?: number; readonly accepted: number; readonly refused: number };
  /** The code of an answer that may have been given to an earlier request. */
  code?: string;
  /** The answer had been given before, for the same Idempotency-Key. */
  isReplayed?: boolean;
  /** The stanza was only shown, not sent. */
  dryRun?: boolean;
}

/** Creates the record of a request from `address` that belongs to the trace `traceId`. */
export function createRequestRecord(address: string, traceId?: string): RequestRecord {
  return { id: randomUUID(), address, startedMs: performance.now(), traceId, route: 'none' };
}

/** How a request ended; `reason` explains a 5xx. */
export interface RequestOutcome {
  readonly method: string;
  readonly status: number;
  readonly code: string;
  readonly reason?: string | undefined;
}

const quietRoutes: ReadonlySet<RequestRecord['route']> = new Set(['health', 'problems', 'docs']);

/** Writes the log line of a request: no body, no credentials, and only the domain of the recipient. */
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
      account: record.account,
      action: record.action,
      sender: record.sender,
      target: record.target,
      recipientDomain: record.recipientDomain,
      recipients: record.recipients,
      ...record.counts,
      replayed: record.isReplayed,
      dryRun: record.dryRun,
      address: record.address,
      traceId: record.traceId,
      durationMs: Math.round((performance.now() - record.startedMs) * 1000) / 1000,
    },
    'request',
  );
}

/** version "-" trace-id "-" parent-id "-" trace-flags, and what later versions append. */
const traceparent =
  /^(?<version>[0-9a-f]{2})-(?<trace>[0-9a-f]{32})-(?<parent>[0-9a-f]{16})-[0-9a-f]{2}(?<more>-.*)?$/;

/**
 * Parses the trace id of a `traceparent` header (W3C Trace Context §3.2). Returns undefined if there
 * is no header, and if it is invalid, which means that it is to be ignored.
 */
export function parseTraceId(header: string | undefined): string | undefined {
  const { version, trace, parent, more } = traceparent.exec(header ?? '')?.groups ?? {};
  // §3.2.2.1: ff is forbidden; §3.2.2.2: version 00 has four fields; ids of zeros are invalid.
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && more !== undefined) return undefined;
  if (isZero(trace) || isZero(parent)) return undefined;
  return trace;
}

function isZero(id: string | undefined): boolean {
  return id === undefined || /^0+$/.test(id);
}
