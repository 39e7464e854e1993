import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { basic, request } from '../build/support/clients/http.js';
import { apiAccount, deployedArgs, gatewayConfig } from '../build/support/gateway/gateway.js';
import { startEjabberd } from '../build/support/servers/ejabberd.js';
import { startProsody } from '../build/support/servers/prosody.js';
import { freePort } from '../build/support/system/ports.js';
import { createDirectory, removeDirectory } from '../build/support/system/processes.js';
import { waitUntil } from '../build/support/system/wait.js';
import { startPeer, startProgram } from './processes.mjs';

export const bot = { username: 'bot', password: 'bot-secret' };

const components = ['gateway', 'naive', 'ceiling', 'before'].map((name) => ({
  domain: `${name}.example.org`,
  secret: `${name}-secret`,
}));

/**
 * Without archive, whose disk would hide all else. Large messages want a `readSize` above Prosody's
 * own 4096 bytes, after each of which it pauses; small ones are better off with that.
 */
const prosodyLines = (readSize) => `
default_archive_policy = false
network_settings = { nagle = false }
network_default_read_size = ${readSize}
`;

const ejabberdModules = [
  'admin_extra',
  'carboncopy',
  'disco',
  'http_api',
  'offline',
  'ping',
  'roster',
];
const ejabberdHost = ['modules:', ...ejabberdModules.map((name) => `  mod_${name}: {}`)].join('\n');

const servers = {
  prosody: (readSize = 4096) =>
    startProsody({ components, extra: { global: prosodyLines(readSize) } }),
  ejabberd: () =>
    startEjabberd({
      components,
      extra: { global: 'auth_password_format: scram\n', host: ejabberdHost },
    }),
};

/** The gateway as a process whose log goes to a file; `startMs` until /readyz says 200. */
export async function startGateway(
  server,
  { overrides = {}, nodeArgs = [], main = 'dist/main.js' } = {},
) {
  const directory = createDirectory('bench-gateway');
  const port = await freePort();
  const config = gatewayConfig(server, { ...overrides, http: { port, ...overrides.http } });
  const configFile = join(directory, 'gateway.yaml');
  writeFileSync(configFile, stringify(config), { mode: 0o600 });
  const log = openSync(join(directory, 'gateway.log'), 'w');
  const startedAt = performance.now();
  const program = startProgram(
    [...deployedArgs, ...nodeArgs, main, 'serve', '--config', configFile],
    log,
  );
  closeSync(log);
  const isReady = async () => {
    try {
      return (await request(`http://127.0.0.1:${port}/readyz`)).status === 200;
    } catch {
      return false;
    }
  };
  await waitUntil(isReady, { label: '200 from /readyz', stepMs: 5 });
  const startMs = performance.now() - startedAt;
  const stop = async () => {
    await program.stop();
    removeDirectory(directory);
  };
  return { port, pid: program.pid, startMs, stop };
}

/** Another build of the gateway, beside which this one is measured. */
function startBefore(server, directory) {
  const { domain, secret, port } = server.components[3];
  const overrides = { component: { domain, secret, port } };
  return startGateway(server, { overrides, main: join(directory, 'dist/main.js') });
}

async function startNaive(server) {
  const port = await freePort();
  const { port: xmppPort, domain, secret } = server.components[1];
  const peer = startPeer('./naive.mjs', {
    PORT: String(port),
    XMPP_PORT: String(xmppPort),
    XMPP_DOMAIN: domain,
    XMPP_SECRET: secret,
    AUTHORIZATION: basic(apiAccount.username, apiAccount.password),
  });
  await peer.waitFor('ready');
  return { port, pid: peer.pid, stop: peer.stop };
}

/** A recipient, bob; for the ceiling it also is a component. */
export async function startReceiver(server, component) {
  const receiver = startPeer('./receiver.mjs');
  const ready = receiver.waitFor('ready');
  receiver.send({
    session: { port: server.c2sPort, domain: server.domain, user: 'bob', password: 'bob-secret' },
    component,
  });
  await ready;
  return receiver;
}

/** Starts a server, a gateway and a naive one on it, a recipient, and the load generator. */
export async function startSite(kind, { against, readSize, ...gatewayOptions } = {}) {
  const running = [];
  const stop = async () => {
    for (const part of running.splice(0).toReversed()) await part.stop();
  };
  const keep = (part) => {
    running.push(part);
    return part;
  };
  try {
    const server = keep(await servers[kind](readSize));
    for (const { username, password } of [bot, { username: 'bob', password: 'bob-secret' }]) {
      await server.register(username, password);
    }
    const gateway = keep(await startGateway(server, gatewayOptions));
    const before = against && keep(await startBefore(server, against));
    const naive = keep(await startNaive(server));
    const receiver = keep(await startReceiver(server, server.components[2]));
    const load = keep(startPeer('./load.mjs'));
    return { kind, server, gateway, before, naive, receiver, load, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the recipient has got so far, and when that was. */
export async function readDelivered({ receiver }) {
  const counted = receiver.waitFor('count');
  receiver.send({ order: 'count' });
  return counted;
}

/** Waits until nothing arrives any more; a backlog of a server that answers early may be long. */
export async function settle(site, expected, timeoutMs = 10_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const before = await readDelivered(site);
    if (before.delivered >= expected || performance.now() > deadline) return before;
    await sleep(20);
  }
}
