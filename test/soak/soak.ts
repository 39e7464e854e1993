import { createHttpConnection } from '../support/clients/http-connection.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import type { Stanza } from '../support/clients/stanza.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import type { servers } from '../support/servers/servers.ts';
import { diagnosticArgs, type Holdings, readHoldings, readRss } from './diagnostics.ts';
import { bot, buildPost } from './posts.ts';

/** How much to post. */
export interface SoakOptions {
  /** Number of requests before the memory is measured first. */
  readonly warmUp: number;
  /** Number of requests, with those of the warm-up. */
  readonly requests: number;
  readonly concurrency: number;
}

/** The measurements. */
export interface SoakReport {
  readonly kind: string;
  readonly requests: number;
  readonly accepted: number;
  readonly refused: number;
  /** Unexpected answers. */
  readonly unexpected: readonly string[];
  readonly delivered: number;
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
  { warmUp, requests, concurrency }: SoakOptions,
): Promise<SoakReport> {
  const count = { accepted: 0, refused: 0, arriving: 0, delivered: 0 };
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
    count.delivered += takeMessages(bob);
  };
  const client = async (): Promise<void> => {
    const connection = createHttpConnection(gateway.port);
    while (next < requests && unexpected.length < 20) {
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
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = (performance.now() - startedAt) / 1000;
  await bob.settle();
  count.delivered += takeMessages(bob);
  const after = await readAtRest(gateway, before);
  return {
    kind,
    requests,
    accepted: count.accepted,
    refused: count.refused,
    unexpected,
    delivered: count.delivered,
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

/** Number of messages that arrived since the last call. */
function takeMessages(bob: Session): number {
  const stanzas = (bob.received as Stanza[]).splice(0);
  return stanzas.filter(({ root }) => root.name === 'message').length;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
