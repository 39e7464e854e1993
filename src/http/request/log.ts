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
