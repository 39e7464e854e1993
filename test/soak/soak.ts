import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { createHttpConnection } from '../support/clients/http-connection.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import type { Stanza } from '../support/clients/stanza.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import type { servers } from '../support/servers/servers.ts';
import { waitUntil } from '../support/system/wait.ts';
import { diagnosticArgs, type Holdings, readHoldings, readRss } from './diagnostics.ts';
import { bot, buildLine, buildLinesHead, buildPost } from './posts.ts';

/** How much to post. */
export interface SoakOptions {
  /** Number of requests before the memory is measured first. */
  readonly warmUp: number;
  /** Least number of requests, with those of the warm-up: they go on as long as the lines. */
  readonly requests: number;
  readonly concurrency: number;
  /** Number of messages in one request, beside the others. */
  readonly lines: number;
}

/** The measurements. */
export interface SoakReport {
  readonly kind: string;
  readonly requests: number;
  readonly accepted: number;
  readonly refused: number;
  /** Lines with the answer 200. */
  readonly acceptedLines: number;
  /** Unexpected answers. */
  readonly unexpected: readonly string[];
  readonly delivered: number;
  /** Accepted, but never delivered. */
  readonly lost: number;
  readonly twice: number;
  readonly seconds: number;
  /** Resident set size in bytes, under load. */
  readonly rss: { readonly afterWarmUp: number; readonly end: number; readonly peak: number };
  /** At rest, with all connections closed. */
  readonly before: Holdings;
  readonly after: Holdings;
  /** Warnings of Node.js, about leaking listeners for example. */
  readonly warnings: readonly string[];
}

/** Consecutive measurements of the memory, of which the median counts. */
const looks = 9;

/** How many lines may be on their way: a session that has to catch up slows ejabberd down. */
const maxLinesOnTheirWay = 500;

/** Posts to a gateway on one server, as fast as it answers. */
export async function soak(
  { kind, start }: (typeof servers)[number],
  options: SoakOptions,
): Promise<SoakReport> {
  const server = await start();
  await server.register('bob', 'bob-secret');
  await server.register(bot.username, bot.password);
  const config = gatewayConfig(server, { log: { level: 'warn' } });
  const gateway = await startGatewayProcess({ config, nodeArgs: diagnosticArgs });
  const bob = await openSessionOn(server, 'bob', 'bob-secret');
  try {
    return await measure(kind, gateway, bob, options);
  } finally {
    bob.destroy();
    // A leak may keep the process from ending, which is not the question here.
    await gateway.stop('SIGKILL');
    await server.stop();
  }
}

async function measure(
  kind: 'prosody' | 'ejabberd',
  gateway: GatewayProcess,
  bob: Session,
  { warmUp, requests, concurrency, lines }: SoakOptions,
): Promise<SoakReport> {
  const count = { accepted: 0, refused: 0, arriving: 0, lines: 0, acceptedLines: 0 };
  const arrivals = new Arrivals(bob);
  const unexpected: string[] = [];
  const early: number[] = [];
  const late: number[] = [];
  let peak = 0;
  let next = 0;

  const look = (): void => {
    const rss = readRss(gateway.pid);
    peak = Math.max(peak, rss);
    if (next >= warmUp && early.length < looks) early.push(rss);
    late.push(rss);
    if (late.length > looks) late.shift();
    arrivals.take();
  };
  const readAnswer = (answer: string): void => {
    const { status } = JSON.parse(answer);
    // The last line of the answer only has the counts.
    if (status === undefined) return;
    count.lines += 1;
    if (status === 200) count.acceptedLines += 1;
    else unexpected.push(answer);
  };
  const mayWrite = (written: number): boolean => {
    arrivals.take();
    return written - arrivals.ofLines < maxLinesOnTheirWay;
  };
  const client = async (): Promise<void> => {
    const connection = createHttpConnection(gateway.port);
    while ((next < requests || count.lines < lines) && unexpected.length < 20) {
      const index = next;
      next += 1;
      const post = buildPost(index);
      const { status, body } = await connection.exchange(post.bytes);
      if (status !== post.status[kind]) unexpected.push(`request ${index}: ${status} ${body}`);
      if (status === 200) count.accepted += 1;
      else count.refused += 1;
      if (post.arrives && status === 200) count.arriving += 1;
      if (next % 500 === 0) look();
    }
    connection.destroy();
  };

  const before = await readHoldings(gateway);
  const startedAt = performance.now();
  const bulk = postLines(gateway.port, { count: lines, mayWrite, onAnswer: readAnswer });
  await Promise.all([bulk, ...Array.from({ length: concurrency }, client)]);
  const seconds = (performance.now() - startedAt) / 1000;
  await bob.settle();
  arrivals.take();
  const after = await readAtRest(gateway, before);
  const { accepted, refused, acceptedLines } = count;
  return {
    kind,
    requests: next,
    accepted,
    refused,
    acceptedLines,
    unexpected,
    delivered: arrivals.delivered,
    lost: count.arriving + acceptedLines - arrivals.delivered,
    twice: arrivals.twice,
    seconds,
    rss: { afterWarmUp: median(early), end: median(late), peak },
    before,
    after,
    warnings: gateway.output().match(/^.*Warning: .*$/gm) ?? [],
  };
}

/** Waits a little, since the gateway notices only later that clients have disconnected. */
async function readAtRest(gateway: GatewayProcess, before: Holdings): Promise<Holdings> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const holdings = await readHoldings(gateway);
    if (holdings.sockets <= before.sockets || performance.now() > deadline) return holdings;
  }
}

/** The messages that have arrived, told apart by their ids. */
class Arrivals {
  readonly #bob: Session;
  readonly #ids = new Set<string>();
  twice = 0;
  ofLines = 0;

  constructor(bob: Session) {
    this.#bob = bob;
  }

  get delivered(): number {
    return this.#ids.size;
  }

  /** Counts what has arrived since the last call, and forgets all but the ids. */
  take(): void {
    for (const { root } of (this.#bob.received as Stanza[]).splice(0)) {
      if (root.name !== 'message') continue;
      const id = root.attributes['id'] ?? '';
      if (this.#ids.has(id)) this.twice += 1;
      else if (id.startsWith('line-')) this.ofLines += 1;
      this.#ids.add(id);
    }
  }
}

/** Posts messages as the lines of one request, some at a time, when `mayWrite` says so. */
async function postLines(
  port: number,
  options: {
    readonly count: number;
    readonly mayWrite: (written: number) => boolean;
    readonly onAnswer: (line: string) => void;
  },
): Promise<void> {
  const request = http.request({ ...buildLinesHead(), host: '127.0.0.1', port });
  const answered = once(request, 'response');
  request.flushHeaders();
  let written = 0;
  const write = async (): Promise<void> => {
    while (written < options.count) {
      await waitUntil(() => options.mayWrite(written), { label: 'room for lines', stepMs: 1 });
      const end = Math.min(written + 100, options.count);
      let text = '';
      for (; written < end; written += 1) text += buildLine(written);
      request.write(text);
    }
    request.end();
  };
  const read = async (): Promise<void> => {
    const [response] = await answered;
    for await (const line of createInterface({ input: response })) options.onAnswer(line);
  };
  await Promise.all([write(), read()]);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
