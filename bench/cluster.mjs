// npm run bench -- --cluster: two nodes of ejabberd, a gateway on each, one node killed under load.
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { request } from '../build/support/clients/http.js';
import { openSession } from '../build/support/clients/session.js';
import { gatewayConfig, startGatewayProcess } from '../build/support/gateway/gateway.js';
import { arrivedIds, startLoad, waitForMore } from '../build/support/gateway/load.js';
import { erlangLibraries } from '../build/support/servers/versions.js';
import { freePort } from '../build/support/system/ports.js';
import {
  createDirectory,
  removeDirectory,
  runToSuccess,
  startChild,
} from '../build/support/system/processes.js';
import { waitUntil } from '../build/support/system/wait.js';
import { printTable } from './report.mjs';

const clients = 8;
const domain = 'example.org';

/** Our own epmd (Erlang's port mapper), on loopback and on a separate port. */
async function startEpmd() {
  const port = await freePort();
  const args = ['-port', String(port), '-address', '127.0.0.1'];
  const child = await startChild({ file: 'epmd', args });
  const names = () => runToSuccess({ file: 'epmd', args: ['-port', String(port), '-names'] });
  await waitUntil(() => names().catch(() => undefined), { label: 'epmd' });
  return { port, stop: () => child.end('SIGTERM') };
}

function buildListener(module, port, others) {
  return { port, ip: '127.0.0.1', module, ...others };
}

function buildConfig({ component, c2sPort, adminPort }) {
  return {
    hosts: [domain],
    loglevel: 'info',
    listen: [
      buildListener('ejabberd_c2s', c2sPort, {}),
      buildListener('ejabberd_http', adminPort, { request_handlers: { '/api': 'mod_http_api' } }),
      buildListener('ejabberd_service', component.port, {
        check_from: false,
        hosts: { [component.domain]: { password: component.secret } },
      }),
    ],
    api_permissions: { bench: { who: { ip: '127.0.0.1/8' }, what: '*' } },
    modules: Object.fromEntries(
      ['mod_admin_extra', 'mod_disco', 'mod_http_api', 'mod_offline', 'mod_ping', 'mod_roster'].map(
        (name) => [name, {}],
      ),
    ),
  };
}

/** Starts one node; its name is known to the other through our epmd. */
async function startNode(name, epmdPort) {
  const directory = createDirectory(`ejabberd-${name}`);
  const at = (file) => join(directory, file);
  const component = {
    domain: `gateway-${name}.example.org`,
    secret: `secret-${name}`,
    port: await freePort(),
  };
  const site = { component, c2sPort: await freePort(), adminPort: await freePort() };
  writeFileSync(at('ejabberd.yml'), stringify(buildConfig(site)), { mode: 0o600 });
  writeFileSync(at('inetrc'), '{lookup,["file","native"]}.\n{host,{127,0,0,1},["localhost"]}.\n');
  const node = `${name}@127.0.0.1`;
  const child = await startChild({
    file: 'erl',
    args: ['-noinput', '+K', 'true', '-name', node, '-setcookie', 'bench']
      .concat(['-kernel', 'inet_dist_use_interface', '{127,0,0,1}'])
      .concat(['-mnesia', 'dir', `"${at('mnesia')}"`, '-s', 'ejabberd']),
    cwd: directory,
    env: {
      EJABBERD_CONFIG_PATH: at('ejabberd.yml'),
      EJABBERD_LOG_PATH: at('ejabberd.log'),
      EJABBERD_PID_PATH: at('ejabberd.pid'),
      ERL_LIBS: erlangLibraries(),
      ERL_INETRC: at('inetrc'),
      ERL_CRASH_DUMP: at('erl_crash.dump'),
      ERL_EPMD_PORT: String(epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      HOME: directory,
    },
  });
  const call = async (command, body = {}) => {
    const url = `http://127.0.0.1:${site.adminPort}/api/${command}`;
    const answer = await request(url, {
      method: 'POST',
      type: 'application/json',
      body: JSON.stringify(body),
    });
    if (answer.status !== 200) throw new Error(`${command}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  };
  const isStarted = async () => String(await call('status').catch(() => '')).includes('started');
  try {
    await waitUntil(isStarted, { label: `${node} to start`, timeoutMs: 30_000 });
  } catch (error) {
    throw new Error(`${child.output()}\n${readFileSync(at('ejabberd.log'), 'utf8')}`, {
      cause: error,
    });
  }
  const stop = async () => {
    await child.end();
    removeDirectory(directory);
  };
  return { node, ...site, call, isStarted, kill: () => child.end('SIGKILL'), stop };
}

/** Through Erlang, because joining a cluster stops the HTTP API that would carry the command. */
function joinCluster(node, other, epmdPort) {
  const call = `rpc:call('${node.node}', ejabberd_cluster, join, ['${other.node}'])`;
  return runToSuccess({
    file: 'erl',
    args: ['-noinput', '-name', 'control@127.0.0.1', '-setcookie', 'bench']
      .concat(['-kernel', 'inet_dist_use_interface', '{127,0,0,1}'])
      .concat(['-eval', `io:format("~p", [${call}]), halt().`]),
    env: { ERL_EPMD_PORT: String(epmdPort), ERL_EPMD_ADDRESS: '127.0.0.1', HOME: tmpdir() },
  });
}

function startGateway({ component, c2sPort }) {
  const server = {
    host: '127.0.0.1',
    c2sPort,
    domains: [domain],
    componentDomain: component.domain,
    componentPort: component.port,
    componentSecret: component.secret,
  };
  const config = gatewayConfig(server, {
    delivery: { confirm_timeout_ms: 5000, silence_timeout_ms: 4000 },
    log: { level: 'warn' },
  });
  return startGatewayProcess({ config });
}

function summarize(name, { outcomes }, arrived) {
  const of = (test) => outcomes.filter(({ answer }) => test(answer?.status));
  const confirmed = of((status) => status === 200);
  const unknown = of((status) => status === 504);
  const isLost = ({ id }) => !arrived.has(id);
  return [
    name,
    outcomes.length,
    confirmed.length,
    confirmed.filter(isLost).length,
    of((status) => status === 503).length,
    `${unknown.length} (${unknown.filter((one) => !isLost(one)).length} had arrived)`,
    of((status) => ![200, 503, 504].includes(status)).length,
  ].map(String);
}

const running = [];
const keep = (part) => {
  running.push(part);
  return part;
};
try {
  const epmd = keep(await startEpmd());
  const survivor = keep(await startNode('one', epmd.port));
  const victim = keep(await startNode('two', epmd.port));
  console.log(`join: ${await joinCluster(victim, survivor, epmd.port)}`);
  await waitUntil(async () => (await survivor.call('list_cluster').catch(() => [])).length === 2, {
    label: 'a cluster of two nodes',
    timeoutMs: 30_000,
  });
  await waitUntil(victim.isStarted, { label: 'the second node again', timeoutMs: 30_000 });
  console.log(`cluster: ${(await survivor.call('list_cluster')).join(', ')}`);
  for (const user of ['bob', 'carol']) {
    await survivor.call('register', { user, host: domain, password: 'secret' });
  }
  const [first, second] = await Promise.all([startGateway(survivor), startGateway(victim)]);
  for (const gateway of [first, second]) keep({ stop: () => gateway.stop('SIGKILL') });
  const logIn = (port, localpart) => openSession({ port, domain, localpart, password: 'secret' });
  const bob = await logIn(survivor.c2sPort, 'bob');
  const loads = [first, second].map((gateway) =>
    startLoad(gateway, { clients, to: 'bob@example.org' }),
  );
  await Promise.all(loads.map((load) => waitForMore(load, 200, 2000)));
  const killedAt = performance.now();
  await victim.kill();
  await waitForMore(loads[1], 503, 50);
  await waitForMore(loads[0], 200, 2000);
  const seconds = (performance.now() - killedAt) / 1000;
  await Promise.all(loads.map((load) => load.stop()));
  await bob.settle();
  const ids = arrivedIds(bob);
  const arrived = new Set(ids);
  console.log(
    `\nnode ${victim.node} killed under load; ${seconds.toFixed(1)} s went by after it\n`,
  );
  printTable([
    ['gateway on', 'messages', '200', 'of them lost', '503: not sent', '504: unknown', 'else'],
    summarize(`${survivor.node}, which survives`, loads[0], arrived),
    summarize(`${victim.node}, which is killed`, loads[1], arrived),
  ]);
  console.log(`\narrived twice: ${ids.length - arrived.size}`);
  bob.destroy();
} finally {
  for (const part of running.toReversed()) await part.stop();
}
process.exit();
