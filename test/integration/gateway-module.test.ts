import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  compareWithClient,
  openAs,
  openComponentWay,
  readArchive,
} from '../support/checks/as-a-client.ts';
import { describeComparison } from '../support/checks/comparison.ts';
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
import { createStage, kinds, limited, muc, silent } from '../support/checks/message-kinds.ts';
import type { Session } from '../support/clients/session.ts';
import { find, type Stanza } from '../support/clients/stanza.ts';
import { startEjabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { startProsodyWithModule } from '../support/servers/prosody-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const gateway = 'gateway.example.org';
const from = 'alice@example.org/http-1';

/** The module on each server: what it does is one specification, how it is configured is not. */
const modules = [
  {
    kind: 'prosody',
    start: startProsodyWithModule,
    silentIs: 'remote-server-timeout',
    unreachableIs: 'remote-server-not-found',
    refused: [
      ['not on the list', limited, 'bob@example.org/http-1', 'not-allowed'],
      ['not on the list, bare', limited, 'bob@example.org', 'not-allowed'],
      ['on the black list', limited, 'frank@other.example/http-1', 'not-allowed'],
      ['on the list by domain', limited, 'gina@other.example/http-1', undefined],
    ],
  },
  {
    kind: 'ejabberd',
    start: startEjabberdWithModule,
    silentIs: 'remote-server-not-found',
    unreachableIs: 'remote-server-timeout',
    refused: [
      ['not allowed by the access rule', limited, 'frank@other.example/http-1', 'not-allowed'],
      ['not allowed by the access rule, bare', gateway, 'frank@other.example', 'not-allowed'],
      ['allowed by the access rule', gateway, 'gina@other.example/http-1', undefined],
    ],
  },
] as const;

const refused = [
  ['no account', gateway, 'nobody@example.org/http-1', 'no-account'],
  ['no user at all', gateway, 'example.org/http-1', 'no-account'],
  ['the server itself', gateway, 'example.org', 'no-account'],
  ['a foreign domain', gateway, 'a@elsewhere.org/http-1', 'foreign-domain'],
  ['a foreign domain, bare', gateway, 'a@elsewhere.org', 'foreign-domain'],
  ['a room', gateway, `room@${muc}/bob`, 'foreign-domain'],
  ['an admin', limited, 'root@example.org/http-1', 'not-allowed'],
  ["an admin's occupant in a room", limited, `root%example.org@${limited}/gateway`, 'not-allowed'],
  ["a user's occupant", limited, `alice%example.org@${limited}/gateway`, undefined],
  ['accepted', limited, from, undefined],
  ['a bare JID without account', gateway, 'nobody@example.org', undefined],
] as const;

const received = `<received xmlns='urn:xmpp:receipts' id='question-1'/>`;

const receipts = [
  { name: 'in chat', rest: `type='chat'>${received}`, isBack: true },
  { name: 'without a type', rest: `>${received}`, isBack: true },
  {
    name: 'to be stored',
    rest: `type='chat'>${received}<store xmlns='urn:xmpp:hints'/>`,
    isBack: true,
  },
  {
    name: 'not to be copied',
    rest: `type='chat'>${received}<no-copy xmlns='urn:xmpp:hints'/>`,
    isBack: true,
  },
  { name: 'with a text', rest: `type='chat'>${received}<body>b</body>`, isBack: false },
] as const;

const texts = {
  'foreign-domain': "The sender's domain is not a VirtualHost of this server",
  'no-account': 'The sender has no account on this server',
  'not-allowed': 'This server does not let the gateway speak for the sender',
};

describe.each(modules)('mod_message_gateway on $kind', (module) => {
  let server: XmppServer;
  beforeAll(async () => {
    server = await module.start();
  }, 300_000);
  afterAll(() => server?.stop());

  test('lets everybody see what they see of a real client', async () => {
    const comparison = await compareWithClient(createStage(server), kinds, {
      from,
      open: (stage) => openComponentWay(stage, from),
    });
    console.log(`${module.kind}: ${describeComparison(comparison)}`);
    const { differences, all } = comparison;
    expect(differences).toEqual([]);
    expect(all).toBeGreaterThan(95);
  });

  describe('announces itself', () => {
    test('to its components, on virtual hosts', async () => {
      for (const domain of [gateway, limited]) {
        const component = await connectComponent(server, domain);
        for (const host of ['example.org', 'other.example']) {
          const { root } = await ask(component, domain, host, question);
          expect(root.attributes['type']).toBe('result');
          const element = find(root, 'gateway');
          expect(element?.namespace).toBe('urn:xmpp-message-gateway:0');
          expect(element?.attributes).toEqual({ version: '1' });
          expect(element && find(element, 'receipts')).toBeDefined();
        }
      }
    });

    test('to nobody else', async () => {
      const component = await connectComponent(server);
      const alice = await connectClient(server, 'alice@example.org/desk');
      const byUser = await ask(component, from, 'example.org', question);
      expect(readError(byUser)).toMatchObject({ condition: 'service-unavailable' });
      const byAddress = await ask(component, `x@${gateway}`, 'example.org', question);
      expect(readError(byAddress)).toMatchObject({ condition: 'service-unavailable' });
      const byClient = await alice.query(`<iq type='get' to='example.org'>${question}</iq>`);
      expect(readError(byClient)).toMatchObject({ condition: 'service-unavailable' });
      const elsewhere = await ask(component, gateway, silent, question);
      expect(readError(elsewhere)).toMatchObject({ condition: module.silentIs });
    });

    test('and leaves the probe of trust alone', async () => {
      for (const domain of [gateway, limited]) {
        const component = await connectComponent(server, domain);
        // The second one may not speak for the sender.
        for (const sender of ['gwprobe-x@example.org', 'root@example.org']) {
          component.send(message(sender, domain, sender, `><x xmlns='urn:x'/>`));
          const { root } = await component.waitFor(({ root: { attributes } }) => {
            return attributes['id'] === sender;
          }, 'the probe');
          expect(root.attributes['type']).toBeUndefined();
        }
      }
    });
  });

  describe('refuses', () => {
    test.each([...refused, ...module.refused])('%s', async (_, domain, sender, reason) => {
      const component = await connectComponent(server, domain);
      const stanza = message(sender, 'carol@example.org', 'm');
      const fate = await fateOf(component, domain, stanza, 'm');
      if (reason === undefined) {
        expect(fate).toBeUndefined();
        return;
      }
      const refusal = { to: sender, type: 'auth', by: domain, condition: 'forbidden', reason };
      expect(fate).toEqual({ ...refusal, text: texts[reason] });
      // The same for what is not a message: an iq of an admin can do more.
      const iq = await ask(component, sender, 'example.org', ping);
      expect(readError(iq)).toMatchObject(refusal);
      component.send(`<presence id='p' from='${sender}' to='carol@example.org'/>`);
      const presence = await component.waitFor(
        ({ root: { attributes } }) => attributes['id'] === 'p',
      );
      expect(readError(presence)).toMatchObject(refusal);
    });

    test('a resource that a client holds', async () => {
      const component = await connectComponent(server);
      const { jid } = await connectClient(server, 'alice@example.org/desk');
      const stanza = message(jid, 'bob@example.org', 'm');
      expect(await fateOf(component, gateway, stanza, 'm')).toMatchObject({
        condition: 'forbidden',
        reason: 'resource-in-use',
        text: 'A client of the sender is connected with this resource',
      });
    });

    test.each([from, 'alice@example.org'])('privileged payloads from %s', async (sender) => {
      const component = await connectComponent(server);
      const rest = `><privilege xmlns='urn:xmpp:privilege:2'/>`;
      const stanza = message(sender, 'example.org', 'm', rest);
      expect(await fateOf(component, gateway, stanza, 'm')).toMatchObject({
        condition: 'forbidden',
        by: gateway,
        reason: 'privileged-payload',
        text: 'A user cannot send privileged payloads',
      });
    });

    test('an error without an answer', async () => {
      const component = await connectComponent(server);
      const rest = `type='error'><error type='cancel'/>`;
      const stanza = message('nobody@example.org/r', 'bob@example.org', 'm', rest);
      expect(await fateOf(component, gateway, stanza, 'm')).toBeUndefined();
    });
  });

  describe('lets through, and brings back', () => {
    test('from a bare JID nothing for the archive and the devices of the sender', async () => {
      const component = await connectComponent(server);
      const [alice, bob] = [
        await connectClient(server, 'alice@example.org/d'),
        await connectClient(server, 'bob@example.org/d'),
      ];
      await alice.query(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
      component.send(message('alice@example.org', 'bob@example.org', 'bare'));
      component.send(message(from, 'bob@example.org', 'full'));
      expect((await bob.waitForMessage('bare')).root.attributes['from']).toBe('alice@example.org');
      expect((await bob.waitForMessage('full')).root.attributes['from']).toBe(from);
      await alice.waitFor(({ xml }) => xml.includes(`id='full'`), 'the carbon');
      expect(alice.received.filter(({ xml }) => xml.includes(`id='bare'`))).toEqual([]);
    });

    test('a sender in upper case as the server writes it', async () => {
      const component = await connectComponent(server);
      const bob = await connectClient(server, 'bob@example.org/d');
      component.send(message('ALICE@Example.org/Http-1', 'bob@example.org', 'upper'));
      const { root } = await bob.waitForMessage('upper');
      expect(root.attributes['from']).toBe('alice@example.org/Http-1');
    });

    test('answers in chat to the clients, errors and groupchat to the component', async () => {
      const component = await connectComponent(server);
      const [alice, bob] = [
        await connectClient(server, 'alice@example.org/d'),
        await connectClient(server, 'bob@example.org/d'),
      ];
      component.send(message(from, bob.jid, 'm'));
      await bob.waitForMessage('m');
      const groupchat = `type='groupchat'><body>b</body>`;
      bob.send(message(bob.jid, from, 'chat'));
      bob.send(message(bob.jid, from, 'error', `type='error'><error type='cancel'/>`));
      bob.send(message(bob.jid, from, 'groupchat', groupchat));
      bob.send(message(bob.jid, 'alice@example.org/never', 'never', groupchat));
      bob.send(`<iq type='result' id='result' to='${from}'/>`);
      bob.send(`<presence id='presence' to='${from}'/>`);
      await component.waitFor(({ root }) => root.attributes['id'] === 'presence', 'the presence');
      expect(idsOf(component.received)).toEqual(['error', 'groupchat', 'result', 'presence']);
      await alice.waitForMessage('chat');
      // To a resource that nobody has spoken from it is an error, as always.
      expect(readError(await bob.waitForMessage('never'))).toMatchObject({
        condition: 'service-unavailable',
      });
    });

    test("copies of an error to the user's clients, if one to another client of hers is copied", async () => {
      const component = await connectComponent(server);
      const [laptop, desk, bob] = [
        await connectClient(server, 'alice@example.org/laptop'),
        await connectClient(server, 'alice@example.org/desk'),
        await connectClient(server, 'bob@example.org/d'),
      ];
      await laptop.query(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
      component.send(message(from, bob.jid, 'from-gateway'));
      desk.send(message(desk.jid, bob.jid, 'from-desk'));
      await Promise.all([bob.waitForMessage('from-gateway'), bob.waitForMessage('from-desk')]);
      const error = `type='error'><error type='cancel'/>`;
      bob.send(message(bob.jid, from, 'to-gateway', error));
      bob.send(message(bob.jid, desk.jid, 'to-desk', error));
      await component.waitFor(({ root }) => root.attributes['id'] === 'to-gateway', 'the error');
      await desk.waitForMessage('to-desk');
      await laptop.settle();
      const copiesOf = (id: string) =>
        laptop.received.filter(({ xml }) => xml.includes(`id='${id}'`));
      expect(copiesOf('from-gateway')).toHaveLength(1);
      expect(copiesOf('to-gateway')).toHaveLength(copiesOf('to-desk').length);
    });

    test.each(receipts)('a receipt, as to a client of hers: $name', async ({ rest, isBack }) => {
      const component = await connectComponent(server);
      const clients = new Map<string, Session>();
      // With carbons in the order of their priorities, and without.
      for (const [name, priority] of Object.entries({ low: 0, desk: 1, high: 5, plain: 5 })) {
        const client = await openAs(server, `alice@example.org/${name}`, priority);
        onTestFinished(() => client.close());
        const carbons = `<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`;
        if (name !== 'plain') await client.query(carbons);
        clients.set(name, client);
      }
      const bob = await connectClient(server, 'bob@example.org/d');
      const desk = clients.get('desk') as Session;
      component.send(message(from, bob.jid, 'question-1'));
      desk.send(message(desk.jid, bob.jid, 'question-2'));
      await Promise.all([bob.waitForMessage('question-1'), bob.waitForMessage('question-2')]);
      bob.send(message(bob.jid, from, 'to-gateway', rest));
      bob.send(message(bob.jid, desk.jid, 'to-desk', rest));
      await desk.waitForMessage('to-desk');
      await ask(component, gateway, 'example.org', ping);
      const back = component.received.filter(({ root }) => root.attributes['id'] === 'to-gateway');
      expect(back).toHaveLength(isBack ? 1 : 0);
      for (const name of ['low', 'high', 'plain']) {
        const client = clients.get(name) as Session;
        await client.settle();
        const seen = (id: string): number =>
          client.received.filter(({ xml }) => xml.includes(`id='${id}'`)).length;
        // What is not for the gateway goes to her clients of the highest priority.
        const more = isBack || name !== 'plain' ? 0 : 1;
        expect([name, seen('to-gateway')]).toEqual([name, seen('to-desk') + more]);
      }
      const archived = await readArchive(desk);
      const inArchive = (id: string): number =>
        archived.filter(({ xml }) => xml.includes(`id='${id}'`)).length;
      expect(inArchive('to-gateway')).toBe(inArchive('to-desk'));
    });

    test('a receipt to the clients while the component is away', async () => {
      const component = await connectComponent(server);
      const [alice, bob] = [
        await connectClient(server, 'alice@example.org/d'),
        await connectClient(server, 'bob@example.org/d'),
      ];
      component.send(message(from, bob.jid, 'm'));
      await bob.waitForMessage('m');
      await component.close();
      // The server may learn later than we do that the component has gone.
      await waitUntil(
        async () => {
          bob.send(message(bob.jid, from, 'receipt', `type='chat'>${received}`));
          await bob.settle();
          return idsOf(alice.received).includes('receipt');
        },
        { label: 'a receipt' },
      );
    });

    test('everything to a client that has taken the resource meanwhile', async () => {
      const component = await connectComponent(server);
      const bob = await connectClient(server, 'bob@example.org/d');
      component.send(message(from, bob.jid, 'm'));
      await bob.waitForMessage('m');
      const alice = await connectClient(server, from);
      bob.send(message(bob.jid, from, 'error', `type='error'><error type='cancel'/>`));
      await alice.waitForMessage('error');
      await ask(component, gateway, 'example.org', ping);
      expect(idsOf(component.received)).not.toContain('error');
    });

    test('bounces of a remote server, before the answer to a ping to it', async () => {
      const component = await connectComponent(server);
      const remote = '127.65.43.22';
      const ids = Array.from({ length: 20 }, (_, k) => `r${k}`);
      component.send(ids.map((id) => message(from, `z@${remote}`, id)).join(''));
      await ask(component, from, remote, ping);
      expect(idsOf(component.received).slice(0, ids.length)).toEqual(ids);
      expect(readError(component.received[0] as Stanza)).toMatchObject({
        condition: module.unreachableIs,
      });
    });
  });
});
