// Checks on ejabberd, as one node and as a cluster, whether every refusal reaches the component before
// the answer to a later question, and whether messages survive a restart of the module.
import { parseArgs } from 'node:util';
import { muc } from '../support/checks/message-kinds.ts';
import { sendMeanwhile } from '../support/checks/module-load.ts';
import {
  checkOrder,
  openOrderScene,
  refusedByRooms,
  refusedByUsers,
} from '../support/checks/module-order.ts';
import { callApi, startEjabberd } from '../support/servers/ejabberd.ts';
import { startCluster } from '../support/servers/ejabberd-cluster.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const { values } = parseArgs({
  options: {
    batches: { type: 'string', default: '2000' },
    rooms: { type: 'string', default: '300' },
    restarts: { type: 'string', default: '20' },
  },
});
/** Number of messages between two restarts. */
const messagesBetween = 1000;
const options = { ...ejabberdWithModule, muc };

function print(title: string, report: object, isRight: boolean): void {
  const numbers = Object.entries(report).map(([name, value]) => `${name} ${String(value)}`);
  console.log(`${isRight ? 'ok    ' : 'FAILED'} ${title}: ${numbers.join(', ')}`);
  if (!isRight) process.exitCode = 1;
}

async function registerUsers(server: XmppServer): Promise<void> {
  for (const name of ['alice', 'bob', 'dave']) await server.register(name, name);
}

async function order(title: string, componentAt: XmppServer, usersAt: XmppServer): Promise<void> {
  const scene = await openOrderScene(componentAt, usersAt);
  for (const { name, kinds, batches } of [
    { name: 'users', kinds: refusedByUsers, batches: Number(values.batches) },
    { name: 'rooms', kinds: refusedByRooms, batches: Number(values.rooms) },
  ]) {
    const report = await checkOrder(scene, batches, kinds);
    const isRight = report.inTime === batches * kinds.length && report.delivered === batches;
    print(`${title}, refused by ${name}, ${batches} batches in one write`, report, isRight);
  }
  await scene.close();
}

async function restarts(server: XmppServer): Promise<void> {
  const restart = { host: 'example.org', module: 'mod_message_gateway' };
  for (const [command, body] of [
    ['reload_config', {}],
    ['restart_module', restart],
  ] as const) {
    const report = await sendMeanwhile(server, async (sent) => {
      for (let times = 1; times <= Number(values.restarts); times++) {
        await waitUntil(() => sent() >= times * messagesBetween, {
          label: 'messages',
          timeoutMs: 600_000,
        });
        await callApi(server, command, body);
      }
    });
    const isRight = report.lost + report.doubled + report.lies === 0;
    print(`${values.restarts} × ${command} under load`, report, isRight);
  }
}

const alone = await startEjabberd(options);
await registerUsers(alone);
await order('one node', alone, alone);
await restarts(alone);
await alone.stop();

const cluster = await startCluster(options);
await registerUsers(cluster.first);
await order('cluster, users on the other node', cluster.first, cluster.second);
await cluster.stop();
