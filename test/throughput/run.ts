import { openAs } from '../support/checks/as-a-client.ts';
import { startEjabberd } from '../support/servers/ejabberd.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import type { ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import {
  type Cost,
  measure,
  median,
  openClientSender,
  openComponentSender,
  type Sender,
} from './measure.ts';

const body = `<body>${'x'.repeat(100)}</body>`;
const noStore = `<no-store xmlns='urn:xmpp:hints'/>`;
/**
 * At 10,000 archived messages Prosody begins to drop the oldest, which is expensive: the number of
 * messages stays below that. ejabberd's archive in Mnesia takes some 10 ms for each message.
 */
const programs = [
  { name: 'Prosody', begin: startProsody, options: withModule, archived: 400 },
  { name: 'ejabberd', begin: startEjabberd, options: ejabberdWithModule, archived: 60 },
];
type Program = (typeof programs)[number];
interface Load {
  readonly title: string;
  readonly rounds: number;
  readonly count: number;
  readonly payload: string;
}

async function start({ begin }: Program, options: ServerOptions): Promise<XmppServer> {
  const server = await begin(options);
  for (const name of ['alice', 'bob']) await server.register(name, name);
  return server;
}

interface Way {
  readonly name: string;
  readonly server: XmppServer;
  readonly sender: Sender;
}

async function openWays(without: XmppServer, having: XmppServer): Promise<Way[]> {
  const bare = await openComponentSender(without, 'alice@example.org');
  const full = await openComponentSender(having, 'alice@example.org/http-1');
  return [
    { name: 'client, no module', server: without, sender: await openClientSender(without) },
    { name: 'component, no module', server: without, sender: bare },
    { name: 'client, module there', server: having, sender: await openClientSender(having) },
    { name: 'component, module', server: having, sender: full },
  ];
}

/** Measures every way in every round, so that other load affects all alike; the first warms up. */
async function measureAll(ways: readonly Way[], load: Load): Promise<Map<Way, Cost[]>> {
  const costs = new Map(ways.map((way): [Way, Cost[]] => [way, []]));
  for (let round = 0; round <= load.rounds; round++) {
    for (const way of ways) {
      const cost = await measure(way.server, way.sender, load);
      if (round > 0) costs.get(way)?.push(cost);
    }
  }
  return costs;
}

function print(title: string, costs: ReadonlyMap<Way, readonly Cost[]>): void {
  console.log(`\n${title.padEnd(24)} messages/s   CPU µs/message`);
  for (const [{ name }, each] of costs) {
    const rate = median(each.map(({ messagesPerSecond }) => messagesPerSecond));
    // The kernel counts in ticks of 10 ms, so that only the mean of many is meaningful.
    const cpu = each.reduce((sum, { cpuMicroseconds }) => sum + cpuMicroseconds, 0) / each.length;
    console.log(
      `  ${name.padEnd(22)} ${rate.toFixed(0).padStart(10)} ${cpu.toFixed(0).padStart(16)}`,
    );
  }
}

async function compare(program: Program): Promise<void> {
  const without = await start(program, {});
  const having = await start(program, program.options);
  const bobs = [
    await openAs(without, 'bob@example.org/desk'),
    await openAs(having, 'bob@example.org/desk'),
  ];
  const ways = await openWays(without, having);
  console.log(
    `${program.name} to the answer of a ping, to a user online, in turn (rate: median, CPU: mean)`,
  );
  for (const load of [
    { title: 'not archived', rounds: 25, count: 1500, payload: body + noStore },
    { title: 'archived', rounds: 9, count: program.archived, payload: body },
  ]) {
    print(`${load.title}, ${load.rounds} times ${load.count}`, await measureAll(ways, load));
  }
  for (const { sender } of ways) await sender.close();
  for (const bob of bobs) bob.destroy();
  await Promise.all([without.stop(), having.stop()]);
}

const [wanted] = process.argv.slice(2);
for (const program of programs) {
  if (wanted === undefined || program.name.toLowerCase() === wanted) await compare(program);
}
