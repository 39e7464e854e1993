// npm run bench -- --scale: 1, 2 and 3 gateways behind HAProxy, on Prosody and on ejabberd.
import { parseArgs } from 'node:util';
import { basic } from '../build/support/clients/http.js';
import {
  apiAccount,
  gatewayConfig,
  startGatewayProcess,
} from '../build/support/gateway/gateway.js';
import { startEjabberd } from '../build/support/servers/ejabberd.js';
import { startProsody } from '../build/support/servers/prosody.js';
import { startHaproxy } from '../build/support/system/haproxy.js';
import { startRedis } from '../build/support/system/redis.js';
import { waitUntil } from '../build/support/system/wait.js';
import { readCpuMs, readMachine, startPeer } from './processes.mjs';
import { printTable } from './report.mjs';
import { idTemplate, spread } from './samples.mjs';
import { readDelivered, startReceiver } from './site.mjs';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const connections = 64;
const warmUpMs = 700;
const ms = options.quick ? 700 : 2500;
const rounds = options.quick ? 1 : 4;
/** Counted from the start: what takes longer is cut short after its round. */
const maxMs = 165_000;

const components = [1, 2, 3].map((number) => ({
  domain: `gateway${number}.example.org`,
  secret: `secret-${number}`,
}));

const cases = [
  { name: '1, without HAProxy', gateways: 0, hasKey: false },
  { name: '1', gateways: 1, hasKey: false },
  { name: '2', gateways: 2, hasKey: false },
  { name: '3', gateways: 3, hasKey: false },
  { name: '2, each with an Idempotency-Key', gateways: 2, hasKey: true },
];

function sum(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

function buildRequest({ hasKey }) {
  // In the text, because an id would also be in <origin-id/>.
  const text = `${idTemplate}${'x'.repeat(84)}`;
  // Not archived: Prosody's own archive slows down a hundredfold once it has 10,000 messages of a user.
  const hint = "<no-store xmlns='urn:xmpp:hints'/>";
  const body = `{"to":"bob@example.org","body":"${text}","extra_elements":"${hint}"}`;
  const lines = [
    'POST /api/1.0/xmppdomains/example.org/gateway/messages/alice HTTP/1.1',
    'Host: 127.0.0.1',
    `Authorization: ${basic(apiAccount.username, apiAccount.password)}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...(hasKey ? [`Idempotency-Key: ${idTemplate}`] : []),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

async function startSite(start) {
  const server = await start({ components });
  await server.register('bob', 'bob-secret');
  const redis = await startRedis({ fsync: 'everysec' });
  const gateways = await Promise.all(
    server.components.map((component) =>
      startGatewayProcess({
        config: gatewayConfig(server, {
          component: { ...component },
          store: redis.url,
          log: { level: 'warn' },
        }),
      }),
    ),
  );
  const balancers = [];
  for (const count of [1, 2, 3]) {
    balancers.push(await startHaproxy(gateways.slice(0, count).map(({ port }) => port)));
  }
  const receiver = await startReceiver(server);
  const load = startPeer('./load.mjs');
  const stop = async () => {
    for (const part of [load, receiver, ...balancers, ...gateways, redis, server]) {
      await part.stop();
    }
  };
  return { server, redis, gateways, balancers, receiver, load, stop };
}

function readCpu({ server, redis, gateways, balancers, receiver, load }) {
  return {
    server: readCpuMs(server.pid),
    gateways: gateways.map(({ pid }) => readCpuMs(pid)),
    haproxy: sum(balancers.map(({ pid }) => readCpuMs(pid))),
    redis: readCpuMs(redis.pid),
    load: readCpuMs(load.pid) + readCpuMs(receiver.pid),
  };
}

async function look(site) {
  return { cpu: readCpu(site), machine: readMachine(), ...(await readDelivered(site)) };
}

let lastId = 0;

async function measure(site, { name, gateways, hasKey }) {
  const target = gateways === 0 ? site.gateways[0] : site.balancers[gateways - 1];
  const before = await readDelivered(site);
  const [started, ended, done] = ['started', 'ended', 'done'].map((event) =>
    site.load.waitFor(event),
  );
  const template = buildRequest({ hasKey });
  const { port } = target;
  site.load.send({ port, template, connections, warmUpMs, ms, firstId: lastId });
  await started;
  const first = await look(site);
  await ended;
  const last = await look(site);
  const { statuses, p50, p99, lastId: reached } = await done;
  lastId = reached;
  const accepted = statuses[200] ?? 0;
  const settled = await waitUntil(
    async () => {
      const now = await readDelivered(site);
      return now.delivered >= before.delivered + accepted && now;
    },
    { label: `${accepted} messages to arrive` },
  );
  const messages = last.delivered - first.delivered;
  const each = (key) => ((last.cpu[key] - first.cpu[key]) * 1000) / messages;
  const ofGateways = last.cpu.gateways.map((cpu, index) => cpu - first.cpu.gateways[index]);
  return {
    name,
    perSecond: (messages * 1000) / (last.at - first.at),
    p50,
    p99,
    server: each('server'),
    gateways: (sum(ofGateways) * 1000) / messages,
    busiest: Math.max(...ofGateways) / (last.at - first.at),
    haproxy: each('haproxy'),
    redis: each('redis'),
    load: each('load'),
    machine:
      1 - (last.machine.idleMs - first.machine.idleMs) / (last.machine.allMs - first.machine.allMs),
    others: sum(Object.entries(statuses).map(([code, many]) => (code === '200' ? 0 : many))),
    duplicates: settled.duplicates - before.duplicates,
  };
}

function report(kind, samples) {
  console.log(`\n${kind}, ${connections} connections, 100-byte messages, medians of rounds:\n`);
  const rows = cases.map(({ name }) => {
    const own = samples.filter((sample) => sample.name === name);
    const of = (key) => spread(own.map((sample) => sample[key]));
    const mid = (key, places = 0) => of(key).median.toFixed(places);
    const percent = (key) => `${(100 * of(key).median).toFixed(0)} %`;
    const { min, max } = of('perSecond');
    const range = `${min.toFixed(0)}–${max.toFixed(0)}`;
    const cells = [name, `${mid('perSecond')} (${range})`, mid('p50', 1), mid('p99', 1)];
    const cpu = ['server', 'gateways', 'haproxy', 'redis', 'load'].map((key) => mid(key));
    const bad = `${sum(own.map(({ others }) => others))} / ${sum(own.map(({ duplicates }) => duplicates))}`;
    return [...cells, ...cpu, percent('busiest'), percent('machine'), bad];
  });
  printTable([
    ['gateways', 'delivered/s', 'p50 ms', 'p99 ms']
      .concat(['server', 'gateways', 'HAProxy', 'Redis', 'load'].map((who) => `${who} µs/message`))
      .concat(['busiest gateway', 'machine busy', 'not 200 / twice']),
    ...rows,
  ]);
}

const servers = { Prosody: startProsody, ejabberd: startEjabberd };
for (const [index, [kind, start]] of Object.entries(servers).entries()) {
  const site = await startSite(start);
  const samples = [];
  try {
    await measure(site, cases[3]);
    for (let round = 0; round < rounds; round += 1) {
      if (performance.now() > (maxMs * (index + 1)) / 2 - 17_000) break;
      const order = round % 2 === 0 ? cases : cases.toReversed();
      for (const one of order) samples.push(await measure(site, one));
    }
  } finally {
    await site.stop();
  }
  report(kind, samples);
}
process.exit();
