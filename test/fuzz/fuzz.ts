import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHttpConnection } from '../support/clients/http-connection.ts';
import type { Stanza } from '../support/clients/stanza.ts';
import { readCorpus } from './corpus.ts';
import { createRequests, type FuzzRequest } from './requests.ts';
import { type Fault, playRound, type Round } from './round.ts';
import { type FuzzServer, type FuzzSite, startFuzzSite } from './site.ts';

/** What went wrong, and with which request. */
export interface Failure {
  readonly reason: string;
  /** Where the request was written to; undefined when none could be found. */
  readonly file: string | undefined;
}

/** What became of the requests on one server. */
export interface FuzzReport {
  readonly kind: string;
  readonly requests: number;
  /** Status → how many. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Messages that came to the recipient. */
  readonly delivered: number;
  readonly slowestMs: number;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}

/** How far a run goes; whichever is reached first. */
export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  readonly seconds: number;
  /** Where failing requests are written to. */
  readonly directory: string;
}

/** After so many requests everything is looked at. */
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
        ? [...round.faults, ...findForged(arrived, round)]
        : // What failed beside it is innocent.
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

/** The messages that came to Bob since the last time; errors answer messages of his. */
function takeMessages(site: FuzzSite): Stanza[] {
  const received = site.bob().received as Stanza[];
  return received
    .splice(0)
    .filter(({ root }) => root.name === 'message' && root.attributes['type'] !== 'error');
}

/** Messages that came, but were not accepted from that sender. A round with faults is incomplete. */
function findForged(arrived: readonly Stanza[], { accepted, faults }: Round): Fault[] {
  if (faults.length > 0) return [];
  const sent = new Set(accepted.map(({ id, from }) => JSON.stringify([id, from])));
  return arrived
    .filter(({ root: { attributes } }) => {
      const { id, from } = attributes;
      return !sent.has(JSON.stringify([id, from]));
    })
    .map(({ xml, root }) => ({
      reason: `came to the recipient, but was not sent so: ${xml}`,
      request: accepted.find(({ id }) => id === root.attributes['id'])?.request,
    }));
}

/** Sends the requests of a round again, one by one, until there is trouble; mends it. */
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
  return undefined;
}

function save(directory: string, name: string, bytes: Buffer): string {
  const file = join(directory, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, bytes);
  return file;
}
