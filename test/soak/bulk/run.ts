import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import {
  apiAccount,
  deployedArgs,
  gatewayConfig,
  startGatewayProcess,
} from '../../support/gateway/gateway.ts';
import { servers } from '../../support/servers/servers.ts';
import { createDirectory, removeDirectory } from '../../support/system/processes.ts';
import { diagnosticArgs, readHoldings, readRss } from '../diagnostics.ts';

/** Each time that this many lines have their answer, the memory is read. */
const interval = 100_000;

/** The most that the heap of the gateway may grow after the first interval, in bytes. */
const mostGrowth = 20 * 2 ** 20;

const [count = '1000000', ...kinds] = process.argv.slice(2);
const lines = Number(count);
const mainFile = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));
const text = 'Disk 93 % full on db-1. '.repeat(4);

/** Headlines to a user who is offline: the server processes them, and nobody has to read them. */
function* makeLines(): Generator<string> {
  for (let line = 1; line <= lines; line += 1) {
    yield `{"to":"bob@example.org","type":"headline","body":"${line} ${text}"}\n`;
  }
}

/** The memory of the gateway and of `send`, in bytes. */
interface Look {
  readonly answers: number;
  readonly heap: number;
  readonly rss: number;
  readonly sendRss: number;
}

/** Sends the file, and prints the memory meanwhile; returns what is wrong. */
async function measure({ kind, start }: (typeof servers)[number], file: string): Promise<string[]> {
  const server = await start();
  await server.register('bob', 'bob-secret');
  const config = gatewayConfig(server, { log: { level: 'warn' } });
  const nodeArgs = [...deployedArgs, ...diagnosticArgs];
  const gateway = await startGatewayProcess({ config, nodeArgs });
  const account = ['--user', apiAccount.username, '--from', 'alice@example.org'];
  const args = ['send', '--url', gateway.url, ...account, '--bulk', file, '--json'];
  const startedAt = performance.now();
  const sending = spawn(process.execPath, [mainFile, ...args], {
    env: { ...process.env, XMPP_GATEWAY_PASSWORD: apiAccount.password },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(sending, 'exit');
  const looks: Look[] = [];
  let answers = 0;
  let last = '';
  for await (const chunk of sending.stdout) {
    const part = String(chunk);
    answers += part.split('\n').length - 1;
    last = (last + part).slice(-200);
    if (answers < (looks.length + 1) * interval) continue;
    const { heapBytes: heap } = await readHoldings(gateway);
    const [rss, sendRss] = [readRss(gateway.pid), readRss(sending.pid ?? 0)];
    looks.push({ answers, heap, rss, sendRss });
    const parts = [heap, rss, sendRss].map((bytes) => (bytes / 2 ** 20).toFixed(1));
    console.log(`  ${kind} ${answers}: heap, RSS, RSS of send in MiB: ${parts.join(', ')}`);
  }
  const [code] = await exited;
  const rate = lines / ((performance.now() - startedAt) / 1000);
  console.log(
    `  ${kind}: ${rate.toFixed(0)} per second, exit code ${code}: ${last.trim().split('\n').at(-1)}`,
  );
  await gateway.stop('SIGKILL');
  await server.stop();
  const [first] = looks;
  const growth = Math.max(0, ...looks.map(({ heap }) => heap - (first?.heap ?? heap)));
  return [
    ...(code === 0 ? [] : [`expected exit code 0, got ${code}`]),
    ...(growth > mostGrowth ? [`the heap grew by ${growth} bytes`] : []),
  ];
}

const folder = createDirectory('bulk');
const file = join(folder, 'messages.ndjson');
await pipeline(Readable.from(makeLines()), createWriteStream(file));
for (const program of servers.filter(({ kind }) => kinds.length === 0 || kinds.includes(kind))) {
  for (const fault of await measure(program, file)) {
    console.log(`  FAILED: ${fault}`);
    process.exitCode = 1;
  }
}
removeDirectory(folder);
