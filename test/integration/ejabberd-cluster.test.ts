import { afterAll, beforeAll, expect, test } from 'vitest';
import { message } from '../support/checks/gateway-module.ts';
import { muc } from '../support/checks/message-kinds.ts';
import {
  checkOrder,
  openOrderScene,
  refusedByRooms,
  refusedByUsers,
} from '../support/checks/module-order.ts';
import { openComponent } from '../support/clients/component.ts';
import { type EjabberdCluster, startCluster } from '../support/servers/ejabberd-cluster.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { evaluateOn } from '../support/servers/erlang.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

let cluster: EjabberdCluster;
beforeAll(async () => {
  cluster = await startCluster({ ...ejabberdWithModule, muc });
  for (const name of ['alice', 'bob', 'dave']) await cluster.first.register(name, name);
}, 300_000);
afterAll(() => cluster?.stop());

test('refusals of users and rooms on the other node come before the answer to a later question', async () => {
  const scene = await openOrderScene(cluster.first, cluster.second);
  for (const kinds of [refusedByUsers, refusedByRooms]) {
    const report = await checkOrder(scene, 50, kinds);
    expect(report).toEqual({ inTime: 50 * kinds.length, late: 0, missing: 0, delivered: 50 });
  }
  await scene.close();
}, 300_000);

test('a node that is killed leaves nothing behind', async () => {
  const speak = async (server: XmppServer, resource: string) => {
    const { componentPort: port, componentDomain: domain, componentSecret: secret } = server;
    const component = await openComponent({ port, domain, secret });
    component.send(message(`alice@example.org/${resource}`, 'nobody@example.org', 'm'));
    await component.waitFor(({ root }) => root.attributes['id'] === 'm', 'the bounce');
    return component;
  };
  const count = (rows: number) =>
    evaluateOn(cluster.nodes.first, `${rows} = mnesia:table_info(message_gateway_speaker, size)`);
  const lost = await speak(cluster.second, 'http-second');
  await count(1);
  await cluster.second.halt('SIGKILL');
  lost.destroy();
  const component = await speak(cluster.first, 'http-first');
  await count(1);
  await component.close();
}, 300_000);
