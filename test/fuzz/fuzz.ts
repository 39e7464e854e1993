import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHttpConnection } from '../support/clients/http-connection.ts';
import type { Stanza } from '../support/clients/stanza.ts';
import { compareArrivals } from './arrivals.ts';
import { readCorpus } from './corpus.ts';
import { createRequests, type FuzzRequest } from './requests.ts';
import { playRound } from './round.ts';
import { type FuzzServer, type FuzzSite, startFuzzSite } from './site.ts';

/** What went wrong, and the request that caused it. */
export interface Failure {
  readonly reason: string;
  /** The file with the request; undefined when no request is to blame alone. */
  readonly file: string | undefined;
}

/** The results on one server. */
export interface FuzzReport {
  readonly kind: string;
  readonly requests: number;
  /** Number of answers by status. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Number of messages that reached the recipient. */
  readonly delivered: number;
  readonly slowestMs: number;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}

/** When a run ends: at the first limit that it reaches. */
export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  readonly seconds: number;
  /** The directory for files of failing requests. */
  readonly directory: string;
}

/** Number of requests between two inspections of server, stream and recipient. */
const roundLength = 1000;
const mostFailures = 5;

/** Runs the fuzzer against a gateway on one server. */
export async function fuzz(program: FuzzServer, options: FuzzOptions): Promise<FuzzReport> {
  const site = await startFuzzSite(program);
  try {
    return await run(site, program.kind, options);
  } finally {
    await site.stop();
  }
}

async function run(site: FuzzSite, kind: string, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, requests, directory } = options;
  const build = createRequests(readCorpus(), seed);
  const statuses = new Map<number, number>();
  const failures: Failure[] = [];
  const startedAt = performance.now();
  const deadline = startedAt + options.seconds * 1000;
  let delivered = 0;
  let slowestMs = 0;
  let next = 0;

  while (next < requests && performance.now() < deadline && failures.length < mostFailures) {
    const end = Math.min(requests, next + roundLength);
    const round = await playRound({ port: site.gateway().port, build, first: next, end, deadline });
    for (const status of round.statuses) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    slowestMs = Math.max(slowestMs, round.slowestMs);
    const trouble = await site.findTrouble();
    const arrived = takeMessages(site);
    delivered += arrived.length;
    const faults =
      trouble === undefined
        ? [...round.faults, ...compareArrivals(arrived, round)]
        : // Other requests failed only because of this one.
          [{ reason: trouble, request: await findCulprit(site, build, next, round.next) }];
    for (const { reason, request } of faults) {
      const name = `${kind}-${seed}-${request?.index}.http`;
      failures.push({ reason, file: request && save(directory, name, request.bytes) });
    }
    next = round.next;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  return { kind, requests: next, statuses, delivered, slowestMs, seconds, failures };
}

/** The messages that reached Bob since the last call, without errors for his own messages. */
function takeMessages(site: FuzzSite): Stanza[] {
  const received = site.bob().received as Stanza[];
  return received
    .splice(0)
    .filter(({ root }) => root.name === 'message' && root.attributes['type'] !== 'error');
}

/** Sends the requests of a round one by one until something breaks, and repairs the site. */
async function findCulprit(
  site: FuzzSite,
  build: (index: number) => FuzzRequest,
  first: number,
  end: number,
): Promise<FuzzRequest | undefined> {
  await site.mend();
  for (let index = first; index < end; index += 1) {
    const request = build(index);
    const connection = createHttpConnection(site.gateway().port);
    await connection.exchange(request.bytes).catch(() => undefined);
    connection.destroy();
    if ((await site.findTrouble()) === undefined) continue;
    await site.mend();
    return request;
  }
  // The next round starts without these.
  takeMessages(site);
  return undefined;
}

function save(directory: string, name: string, bytes: Buffer): string {
  const file = join(directory, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, bytes);
  return file;
}
