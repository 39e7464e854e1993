import { createHttpConnection } from '../support/clients/http-connection.ts';
import { type Accepted, judge } from './judge.ts';
import type { FuzzRequest } from './requests.ts';

/** What went wrong and with which request; undefined when no request is to blame alone. */
export interface Fault {
  readonly reason: string;
  readonly request: FuzzRequest | undefined;
}

/** The results of a series of requests. */
export interface Round {
  /** Index of the first request that was not sent. */
  readonly next: number;
  readonly statuses: readonly number[];
  readonly accepted: readonly (Accepted & { readonly request: FuzzRequest })[];
  readonly faults: readonly Fault[];
  readonly slowestMs: number;
}

interface RoundOptions {
  readonly port: number;
  readonly build: (index: number) => FuzzRequest;
  readonly first: number;
  readonly end: number;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
}

const clients = 8;

/** Sends the requests on several connections until all are answered or one fails. */
export async function playRound({
  port,
  build,
  first,
  end,
  deadline,
}: RoundOptions): Promise<Round> {
  const statuses: number[] = [];
  const accepted: Round['accepted'][number][] = [];
  const faults: Fault[] = [];
  let slowestMs = 0;
  let next = first;

  const client = async (): Promise<void> => {
    const connection = createHttpConnection(port);
    while (next < end && faults.length === 0 && performance.now() < deadline) {
      const request = build(next);
      next += 1;
      const startedAt = performance.now();
      try {
        const answer = await connection.exchange(request.bytes);
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
        statuses.push(answer.status);
        const { fault, accepted: messages } = judge(request, answer);
        if (fault !== undefined) faults.push({ reason: fault, request });
        accepted.push(...messages.map((message) => ({ ...message, request })));
      } catch (error) {
        faults.push({ reason: String(error), request });
      }
    }
    connection.destroy();
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { next, statuses, accepted, faults, slowestMs };
}
