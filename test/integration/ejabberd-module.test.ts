import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  idsOf,
  message,
  ping,
  question,
  readError,
} from '../support/checks/gateway-module.ts';
import { limited, muc } from '../support/checks/message-kinds.ts';
import {
  checkOrder,
  type OrderScene,
  openOrderScene,
  refusedByRooms,
  refusedByUsers,
} from '../support/checks/module-order.ts';
import { startProxy } from '../support/doubles/fault-proxy.ts';
import { callApi, startEjabberd } from '../support/servers/ejabberd.ts';
import {
  ejabberdWithModule,
  faulty,
  startEjabberdWithModule,
  transport,
  without,
} from '../support/servers/ejabberd-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

// What it does on Prosody too is in gateway-module.test.ts.
let server: XmppServer;
beforeAll(async () => {
  server = await startEjabberdWithModule();
}, 300_000);
afterAll(() => server?.stop());

const gateway = 'gateway.example.org';
const from = 'alice@example.org/http-1';

describe('whatever is refused, the component hears of it before the answer to a later question', () => {
  let scene: OrderScene;
  beforeAll(async () => {
    scene = await openOrderScene(server, server);
  });
  afterAll(() => scene?.close());

  test.each([
    ['by users', refusedByUsers, 100],
    ['by rooms', refusedByRooms, 50],
  ])('%s', async (_, kinds, batches) => {
    const report = await checkOrder(scene, batches, kinds);
    expect(report).toEqual({
      inTime: batches * kinds.length,
      late: 0,
      missing: 0,
      delivered: batches,
    });
  });
});

describe('what is refused', () => {
  test('an announcement by a user who may not, before the answer to a later question', async () => {
    const component = await connectComponent(server);
    const to = 'example.org/announce/online';
    const ids = Array.from({ length: 100 }, (_, k) => `a${k}`);
    const messages = ids.map((id) => message(from, to, id));
    component.send(messages.join(''));
    await ask(component, gateway, 'example.org', question);
    expect(idsOf(component.received).slice(0, -1)).toEqual(ids);
  });

  test.each([
    ['takes longer than ejabberd waits for it', 'busy', 'not-acceptable'],
    ['ends before it has looked at it', 'crash', 'internal-server-error'],
  ])(
    'what a room is sent that %s, before the answer to a later question',
    async (_, id, condition) => {
      const groupchat = `type='groupchat'><body>b</body>`;
      const room = `${id}@${muc}`;
      const component = await connectComponent(server);
      const bob = await connectClient(server, 'bob@example.org/busy');
      bob.send(`<presence to='${room}/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
      bob.send(message(bob.jid, room, id, groupchat));
      await bob.waitForMessage(id);
      component.send(message(from, room, 'm', groupchat));
      const answer = await ask(component, gateway, 'example.org', question);
      const before = component.received.slice(0, component.received.indexOf(answer));
      const refusals = before.filter(({ root }) => root.attributes['id'] === 'm');
      expect(refusals.map(readError)).toMatchObject([{ to: from, condition }]);
    },
  );

  test.each([
    ['of a host whose accounts cannot be looked up', `a@${faulty}/http-1`],
    ['of a host without the module', `a@${without}/http-1`],
    ['of a host without the module, bare', `a@${without}`],
  ])('a sender %s, for the time being', async (_, sender) => {
    const component = await connectComponent(server);
    const stanza = message(sender, 'bob@example.org', 'm');
    expect(await fateOf(component, gateway, stanza, 'm')).toMatchObject({
      to: sender,
      by: gateway,
      type: 'wait',
      condition: 'internal-server-error',
    });
  });

  test('a banned account, where ejabberd knows of it', async () => {
    await server.register('hugo', 'hugo');
    const component = await connectComponent(server);
    const stanza = message('hugo@example.org/r', 'bob@example.org', 'm');
    await callApi(server, 'ban_account', { user: 'hugo', host: 'example.org', reason: 'spam' });
    // 23.01 gives it a random password, and that is all.
    const details = callApi(server, 'get_ban_details', { user: 'hugo', host: 'example.org' });
    const isKnown = await details.then(
      () => true,
      () => false,
    );
    const fate = await fateOf(component, gateway, stanza, 'm');
    expect(fate?.reason).toBe(isKnown ? 'no-account' : undefined);
  });

  test.each([
    ['from a user', () => message(from, 'bob@example.org', 'deep', nest(201))],
    ['from a bare JID', () => message('alice@example.org', 'bob@example.org', 'deep', nest(201))],
    ['to the component itself', () => message(from, gateway, 'deep', nest(201))],
    ['deep enough to end the Erlang VM', () => message(from, gateway, 'deep', nest(10_000))],
  ])('what is nested too deeply: %s', async (_, write) => {
    const component = await connectComponent(server);
    expect(await fateOf(component, gateway, write(), 'deep')).toMatchObject({
      by: gateway,
      condition: 'policy-violation',
    });
  });

  test('and 200 levels are not too deep', async () => {
    const component = await connectComponent(server);
    const bob = await connectClient(server, 'bob@example.org/d');
    component.send(message(from, 'bob@example.org', 'deep', nest(200)));
    await bob.waitForMessage('deep');
  });
});

function nest(levels: number): string {
  return `type='chat'>${`<x xmlns='urn:x'>`.repeat(levels)}${'</x>'.repeat(levels)}`;
}

describe('what goes through', () => {
  test('iq of the component and of users, though mod_privilege is there for another one', async () => {
    const component = await connectComponent(server);
    for (const sender of [gateway, `x@${gateway}`, from]) {
      const { root } = await ask(component, sender, 'other.example', ping);
      expect(root.attributes['type']).toBe('result');
    }
    const info = `<query xmlns='http://jabber.org/protocol/disco#info'/>`;
    const { root } = await ask(component, gateway, muc, info);
    expect(root.attributes['type']).toBe('result');
  });

  test('all that another component sends', async () => {
    const component = await connectComponent(server, transport);
    const bob = await connectClient(server, 'bob@example.org/d');
    for (const sender of [`x@${transport}`, from, 'nobody@example.org/r', `a@${without}`]) {
      component.send(message(sender, 'bob@example.org', sender));
      await bob.waitForMessage(sender);
    }
  });

  test('groupchat of an occupant, in the language of the server', async () => {
    const component = await connectComponent(server);
    const room = `language@${muc}`;
    const x = "<x xmlns='http://jabber.org/protocol/muc'/>";
    const bob = await connectClient(server, 'bob@example.org/language');
    bob.send(`<presence to='${room}/bob'>${x}</presence>`);
    await bob.settle();
    const occupant = `alice%example.org@${gateway}/gateway`;
    component.send(`<presence from='${occupant}' to='${room}/alice'>${x}</presence>`);
    component.send(message(occupant, room, 'm', `type='groupchat'><body>b</body>`));
    const { xml } = await bob.waitForMessage('m');
    expect(xml).toContain(`xml:lang='en'`);
  });

  test('from many resources, of which the last thousand are remembered', async () => {
    const component = await connectComponent(server);
    const bob = await connectClient(server, 'bob@example.org/many');
    const resources = Array.from({ length: 1001 }, (_, k) => `many-${k}`);
    const noStore = `type='chat'><no-store xmlns='urn:xmpp:hints'/>`;
    const messages = resources.map((resource) =>
      message(`alice@example.org/${resource}`, 'bob@example.org/many', resource, noStore),
    );
    component.send(messages.join(''));
    await ask(component, gateway, 'example.org', question);
    for (const resource of [resources[0], resources[1], resources[1000]]) {
      bob.send(`<presence id='${resource}' to='alice@example.org/${resource}'/>`);
    }
    await component.waitFor(({ root }) => root.attributes['id'] === 'many-1000', 'the last');
    const back = idsOf(component.received).filter((id) => id?.startsWith('many-') === true);
    expect(back).toEqual(['many-1', 'many-1000']);
  });

  test('two gateways side by side, each hears of its own', async () => {
    const [one, other] = [await connectComponent(server), await connectComponent(server, limited)];
    const send = (component: typeof one, resource: string, ids: readonly string[]): void =>
      component.send(
        ids.map((id) => message(`alice@example.org/${resource}`, 'none@example.org', id)).join(''),
      );
    const ids = (name: string): string[] => Array.from({ length: 40 }, (_, k) => `${name}-${k}`);
    send(one, 'http-one', ids('one'));
    send(other, 'http-other', ids('other'));
    await ask(one, gateway, 'example.org', question);
    await ask(other, limited, 'example.org', question);
    // What earlier tests have left, a room and a client that goes, may still write to the component.
    const heard = (component: typeof one, resource: string): (string | undefined)[] => {
      const to = `alice@example.org/${resource}`;
      return idsOf(component.received.filter(({ root }) => root.attributes['to'] === to));
    };
    expect(heard(one, 'http-one')).toEqual(ids('one'));
    expect(heard(other, 'http-other')).toEqual(ids('other'));
  });
});

test('before ejabberd stops, clients take all that it has answered for', async () => {
  const stopping = await startEjabberd(ejabberdWithModule);
  onTestFinished(() => stopping.stop());
  for (const name of ['alice', 'bob']) await stopping.register(name, name);
  const network = await startProxy(stopping.c2sPort);
  onTestFinished(() => network.stop());
  const component = await connectComponent(stopping);
  const bob = await connectClient({ ...stopping, c2sPort: network.port }, 'bob@example.org/d');
  // More than sockets hold, so that the rest waits in the process of the client.
  const large = `type='chat'><body>${'b'.repeat(50_000)}</body><no-store xmlns='urn:xmpp:hints'/>`;
  const ids = Array.from({ length: 260 }, (_, k) => `m${k}`);
  await network.setMode('half-open');
  component.send(ids.map((id) => message(from, 'bob@example.org', id, large)).join(''));
  await ask(component, gateway, 'example.org', question);
  const stopped = stopping.halt('SIGTERM');
  // It waits for bob, who does not read yet, and pings are still answered: nothing new may be accepted.
  while (!idsOf(component.received).includes('late')) {
    component.send(message('alice@example.org', 'alice@example.org', 'late'));
    await ask(component, gateway, 'example.org/gateway', ping);
  }
  await network.setMode('forward');
  await stopped;
  await bob.waitForMessage('m259');
  expect(idsOf(bob.received.filter(({ root }) => root.name === 'message'))).toEqual(ids);
}, 300_000);
