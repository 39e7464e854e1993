import { fork } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import { fileURLToPath } from 'node:url';
import { readRss } from '../soak/diagnostics.ts';
import { post } from '../support/clients/http.ts';
import { answerHonestly, startComponentServer } from '../support/doubles/component-server.ts';
import {
  deployedArgs,
  type GatewayProcess,
  hashApiPassword,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { createCertificates } from '../support/system/certificates.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';
import type { AttackerData, Sightings } from './attacker.ts';
import { type Attack, credentials } from './attacks.ts';

/** How a siege is run. */
export interface SiegeOptions {
  readonly seconds: number;
  /** The `main.js` of the build. */
  readonly mainFile: string | undefined;
}

/** Times of ordinary messages, in milliseconds. */
export interface Latencies {
  readonly perSecond: number;
  readonly median: number;
  readonly worst: number;
}

/** The measurements; memory as resident bytes. */
export interface SiegeReport {
  /** After the first message. */
  readonly fresh: number;
  /** After many messages. */
  readonly rest: number;
  readonly peak: number;
  readonly after: number;
  readonly alone: Latencies;
  readonly beside: Latencies;
  /** Answers to ordinary messages other than 200. */
  readonly failures: Sightings;
  readonly seen: Sightings;
  readonly isAlive: boolean;
}

const aloneMs = 3000;
const afterMs = 3000;
/** Enough messages for V8 to let its young generation grow, as in any busy process. */
const warmUp = 20_000;
const warmUpClients = 64;
const body = JSON.stringify({ to: 'bob@example.org', body: 'ordinary' });
const path = '/api/1.0/xmppdomains/example.org/gateway/messages/alice';

/** Attacks a new gateway while a client sends ordinary messages one after the other. */
export async function besiege(attack: Attack, options: SiegeOptions): Promise<SiegeReport> {
  const directory = createDirectory('siege');
  const server = await startComponentServer(answerHonestly);
  const { certFile, keyFile } = await createCertificates(directory, ['example.org']);
  const [port, metricsPort] = [await freePort(), await freePort()];
  const isTls = attack.tls === true;
  const gateway = await startGatewayProcess({
    mainFile: options.mainFile,
    nodeArgs: deployedArgs,
    ready: false,
    config: {
      component: { domain: 'gateway.example.org', port: server.port, secret: 'secret' },
      domains: ['example.org'],
      api_accounts: [
        {
          username: credentials.username,
          password_hash: hashApiPassword(credentials.password, 10),
          domains: ['example.org'],
        },
      ],
      http: {
        port,
        metrics: { port: metricsPort },
        ...(isTls && { tls: { cert_file: certFile, key_file: keyFile } }),
      },
      auth: { cache_ms: 600_000 },
      log: { level: 'warn' },
    },
  });
  const client = createClient(port, isTls);
  try {
    await waitUntil(client.isServed, { label: 'the first message' });
    const target = attack.port === 'metrics' ? metricsPort : port;
    return await measure(gateway, client, {
      name: attack.name,
      port: target,
      ms: options.seconds * 1000,
    });
  } finally {
    client.stop();
    await gateway.stop('SIGKILL');
    await server.stop();
    removeDirectory(directory);
  }
}

async function measure(
  gateway: GatewayProcess,
  client: Client,
  data: AttackerData,
): Promise<SiegeReport> {
  const fresh = readRss(gateway.pid);
  let sent = 0;
  const sendOn = (): Promise<Latencies> => client.sendWhile(() => (sent += 1) <= warmUp);
  await Promise.all(Array.from({ length: warmUpClients }, sendOn));
  const alone = await client.sendFor(aloneMs);
  const rest = readRss(gateway.pid);
  let peak = rest;
  const watch = setInterval(() => {
    if (gateway.isRunning()) peak = Math.max(peak, readRss(gateway.pid));
  }, 50);
  const attacked = attackWith(data);
  let isOver = false;
  void attacked.then(() => (isOver = true));
  const beside = await client.sendWhile(() => !isOver && gateway.isRunning());
  const seen = await attacked;
  await client.sendFor(afterMs);
  clearInterval(watch);
  const isAlive = gateway.isRunning();
  return {
    fresh,
    rest,
    peak,
    after: isAlive ? readRss(gateway.pid) : 0,
    alone,
    beside,
    failures: client.failures,
    seen,
    isAlive,
  };
}

/** Attacks from another process so as not to slow the ordinary client down. */
function attackWith(data: AttackerData): Promise<Sightings> {
  return new Promise((resolve, reject) => {
    const file = fileURLToPath(new URL('attacker.js', import.meta.url));
    const attacker = fork(file, [JSON.stringify(data)]);
    attacker.once('message', (seen) => resolve(seen as Sightings));
    attacker.once('error', reject);
    attacker.once('exit', () => reject(new Error('the attacker ended without a word')));
  });
}

/** A client that sends ordinary messages. */
interface Client {
  readonly isServed: () => Promise<boolean>;
  readonly sendFor: (ms: number) => Promise<Latencies>;
  readonly sendWhile: (goesOn: () => boolean) => Promise<Latencies>;
  readonly failures: Record<string, number>;
  readonly stop: () => void;
}

function createClient(port: number, isTls: boolean): Client {
  const options = { keepAlive: true, maxSockets: warmUpClients };
  const agent = isTls
    ? new https.Agent({ ...options, rejectUnauthorized: false })
    : new http.Agent(options);
  const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${port}${path}`;
  const auth = [credentials.username, credentials.password] as const;
  const failures: Record<string, number> = {};
  const send = async (): Promise<string> => {
    try {
      return String((await post(url, { agent, auth, body })).status);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code ?? message;
    }
  };
  const sendWhile = async (goesOn: () => boolean): Promise<Latencies> => {
    const times: number[] = [];
    const begunMs = performance.now();
    while (goesOn()) {
      const startedMs = performance.now();
      const answer = await send();
      times.push(performance.now() - startedMs);
      if (answer !== '200') failures[answer] = (failures[answer] ?? 0) + 1;
    }
    const endedMs = performance.now();
    times.sort((a, b) => a - b);
    return {
      perSecond: (times.length * 1000) / (endedMs - begunMs),
      median: times[times.length >> 1] ?? Number.NaN,
      worst: times.at(-1) ?? Number.NaN,
    };
  };
  return {
    isServed: async () => (await send()) === '200',
    sendFor: (ms) => {
      const untilMs = performance.now() + ms;
      return sendWhile(() => performance.now() < untilMs);
    },
    sendWhile,
    failures,
    stop: () => agent.destroy(),
  };
}
