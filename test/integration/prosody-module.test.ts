import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareWithClient, openComponentWay } from '../support/as-a-client.ts';
import { describeComparison } from '../support/comparison.ts';
import { createStage, kinds, muc, silent } from '../support/message-kinds.ts';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  idsOf,
  limited,
  message,
  ping,
  question,
  readError,
  startProsodyWithModule,
} from '../support/prosody-module.ts';
import { find, type Stanza } from '../support/stanza.ts';
import type { XmppServer } from '../support/xmpp-server.ts';

let server: XmppServer;
beforeAll(async () => {
  server = await startProsodyWithModule();
});
afterAll(() => server.stop());

describe('what everybody sees', () => {
  test('is what they see of a real client', async () => {
    const from = 'alice@example.org/http-1';
    const comparison = await compareWithClient(createStage(server), kinds, {
      from,
      open: (stage) => openComponentWay(stage, from),
    });
    console.log(describeComparison(comparison));
    const { differences, all } = comparison;
    expect(differences).toEqual([]);
    expect(all).toBeGreaterThan(95);
  });
});

describe('how it announces itself', () => {
  test('to the component, on virtual hosts and room services, with its features', async () => {
    const open = await connectComponent(server);
    const withRooms = await connectComponent(server, limited);
    for (const host of ['example.org', 'other.example', muc]) {
      const { root } = await ask(open, server.componentDomain, host, question);
      expect(root.attributes['type']).toBe('result');
      expect(find(root, 'gateway')).toEqual({
        name: 'gateway',
        namespace: 'urn:xmpp-message-gateway:0',
        attributes: { version: '1' },
        children: [],
      });
      const answer = await ask(withRooms, limited, host, question);
      expect(find(answer.root, 'gateway')?.children).toMatchObject([{ name: 'speak-in-rooms' }]);
    }
  });

  test('to nobody else', async () => {
    const component = await connectComponent(server);
    const alice = await connectClient(server, 'alice@example.org/desk');
    const byUser = await ask(component, 'alice@example.org/http-1', 'example.org', question);
    expect(readError(byUser)).toMatchObject({ condition: 'service-unavailable' });
    const byAddress = await ask(component, `x@${server.componentDomain}`, 'example.org', question);
    expect(readError(byAddress)).toMatchObject({ condition: 'service-unavailable' });
    const byClient = await alice.query(`<iq type='get' to='example.org'>${question}</iq>`);
    expect(readError(byClient)).toMatchObject({ condition: 'service-unavailable' });
    const elsewhere = await ask(component, server.componentDomain, silent, question);
    expect(readError(elsewhere)).toMatchObject({ condition: 'remote-server-timeout' });
  });

  test('and leaves the probe of trust alone', async () => {
    const component = await connectComponent(server);
    const { componentDomain } = server;
    const probe = `<message id='probe-1' from='gwprobe-x@example.org' to='${componentDomain}'><x xmlns='urn:x'/></message>`;
    component.send(probe);
    await component.waitFor(({ root }) => root.attributes['id'] === 'probe-1', 'the probe');
  });
});

describe('who is refused', () => {
  const resource = 'http-1';
  const privileged = `><privilege xmlns='urn:xmpp:privilege:2'/></message>`;
  test.each([
    ['no account', () => server.componentDomain, `nobody@example.org/${resource}`, 'no-account'],
    ['no user at all', () => server.componentDomain, `example.org/${resource}`, 'no-account'],
    ['the server itself', () => server.componentDomain, 'example.org', 'no-account'],
    [
      'a foreign domain',
      () => server.componentDomain,
      `a@elsewhere.org/${resource}`,
      'foreign-domain',
    ],
    ['a foreign domain, bare', () => server.componentDomain, 'a@elsewhere.org', 'foreign-domain'],
    ['a room', () => server.componentDomain, `room@${muc}/bob`, 'foreign-domain'],
    ['not on the list', () => limited, `bob@example.org/${resource}`, 'not-allowed'],
    ['not on the list, bare', () => limited, 'bob@example.org', 'not-allowed'],
    ['on the black list', () => limited, `frank@other.example/${resource}`, 'not-allowed'],
    ['an admin', () => limited, `root@example.org/${resource}`, 'not-allowed'],
    [
      "an admin's occupant in a room",
      () => limited,
      `root%example.org@${limited}/gateway`,
      'not-allowed',
    ],
    ["a user's occupant", () => limited, `alice%example.org@${limited}/gateway`, undefined],
    ['on the list', () => limited, `alice@example.org/${resource}`, undefined],
    ['on the list by domain', () => limited, `gina@other.example/${resource}`, undefined],
    ['a bare JID without account', () => server.componentDomain, 'nobody@example.org', undefined],
  ])('%s', async (_, domain, from, reason) => {
    const component = await connectComponent(server, domain());
    const fate = await fateOf(component, domain(), message(from, 'carol@example.org', 'm'), 'm');
    const refusal = { to: from, type: 'auth', by: domain(), condition: 'forbidden', reason };
    expect(fate).toEqual(reason === undefined ? undefined : refusal);
    // The same for what is not a message: an iq of an admin can do more.
    if (reason === undefined) return;
    const { root, xml } = await ask(component, from, 'example.org', ping);
    expect(readError({ root, xml })).toEqual(refusal);
    component.send(`<presence id='p' from='${from}' to='carol@example.org'/>`);
    const presence = await component.waitFor(
      ({ root: { attributes } }) => attributes['id'] === 'p',
    );
    expect(readError(presence)).toEqual(refusal);
  });

  test('a resource that a client holds', async () => {
    const component = await connectComponent(server);
    const { jid } = await connectClient(server, 'alice@example.org/desk');
    const stanza = message(jid, 'bob@example.org', 'm');
    expect(await fateOf(component, server.componentDomain, stanza, 'm')).toMatchObject({
      condition: 'forbidden',
      reason: 'resource-in-use',
    });
  });

  test.each(['alice@example.org/http-1', 'alice@example.org'])(
    'privileged payloads from %s',
    async (from) => {
      const component = await connectComponent(server);
      const stanza = `<message from='${from}' to='example.org' id='m'${privileged}`;
      expect(await fateOf(component, server.componentDomain, stanza, 'm')).toMatchObject({
        condition: 'forbidden',
        by: server.componentDomain,
        reason: 'privileged-payload',
      });
    },
  );

  test('an error from a refused sender is not answered', async () => {
    const component = await connectComponent(server);
    const rest = `type='error'><error type='cancel'/>`;
    const stanza = message('nobody@example.org/r', 'bob@example.org', 'm', rest);
    expect(await fateOf(component, server.componentDomain, stanza, 'm')).toBeUndefined();
  });
});

describe('what goes through, and what comes back', () => {
  const from = 'alice@example.org/http-1';

  test('from a bare JID nothing is archived for the sender', async () => {
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

  test.each(['bob@example.org', 'alice@example.org'])(
    'a message to %s that a module of the server fails on is an error, not lost',
    async (to) => {
      const component = await connectComponent(server);
      const stanza = message(from, to, 'fault');
      expect(await fateOf(component, server.componentDomain, stanza, 'fault')).toMatchObject({
        to: from,
        by: server.componentDomain,
        condition: 'internal-server-error',
      });
      expect(component.received[0]?.root.attributes['from']).toBe(to);
    },
  );

  test.each([
    ['client', 'broken@example.org/h'],
    ['occupant', `broken%example.org@${limited}/h`],
  ])(
    'a message of a sender that cannot be looked up is an error, not lost: %s',
    async (_, sender) => {
      const component = await connectComponent(server, limited);
      const stanza = message(sender, 'alice@example.org', 'broken');
      expect(await fateOf(component, limited, stanza, 'broken')).toMatchObject({
        to: sender,
        by: limited,
        type: 'wait',
        condition: 'internal-server-error',
      });
    },
  );

  test('answers in chat reach the clients, errors and groupchat the component', async () => {
    const component = await connectComponent(server);
    const [alice, bob] = [
      await connectClient(server, 'alice@example.org/d'),
      await connectClient(server, 'bob@example.org/d'),
    ];
    component.send(message(from, bob.jid, 'm'));
    await bob.waitForMessage('m');
    const error = `type='error'><error type='cancel'/>`;
    const groupchat = `type='groupchat'><body>b</body>`;
    bob.send(message(bob.jid, from, 'chat'));
    bob.send(message(bob.jid, from, 'error', error));
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

  test('to a client that has taken the resource meanwhile, everything goes', async () => {
    const component = await connectComponent(server);
    const bob = await connectClient(server, 'bob@example.org/d');
    component.send(message(from, bob.jid, 'm'));
    await bob.waitForMessage('m');
    const alice = await connectClient(server, from);
    bob.send(message(bob.jid, from, 'error', `type='error'><error type='cancel'/>`));
    await alice.waitForMessage('error');
    await ask(component, server.componentDomain, 'example.org', ping);
    expect(idsOf(component.received)).not.toContain('error');
  });

  test('bounces of a remote server come back, and a ping to it comes after them', async () => {
    const component = await connectComponent(server);
    const remote = '127.65.43.22';
    const count = 20;
    const messages = Array.from({ length: count }, (_, k) => message(from, `z@${remote}`, `r${k}`));
    component.send(messages.join(''));
    await ask(component, from, remote, ping);
    expect(idsOf(component.received).slice(0, count)).toEqual(
      Array.from({ length: count }, (_, k) => `r${k}`),
    );
    expect(readError(component.received[0] as Stanza)).toMatchObject({
      condition: 'remote-server-not-found',
    });
  });

  test('answers come in the order of what they answer', async () => {
    const component = await connectComponent(server, limited);
    const bob = await connectClient(server, 'bob@example.org/d');
    const rounds = 500;
    const expected: string[] = [];
    let stanzas = '';
    for (let k = 0; k < rounds; k++) {
      stanzas += message(from, 'nobody@example.org', `bounce-${k}`);
      stanzas += message('bob@example.org/http-1', 'bob@example.org', `refusal-${k}`);
      stanzas += message(
        from,
        'bob@example.org',
        `good-${k}`,
        `type='chat'><body>b</body><no-store xmlns='urn:xmpp:hints'/>`,
      );
      stanzas += `<iq type='get' from='${limited}' to='example.org' id='ping-${k}'>${ping}</iq>`;
      expected.push(`bounce-${k}`, `refusal-${k}`, `ping-${k}`);
    }
    component.send(stanzas);
    await component.waitFor(
      ({ root }) => root.attributes['id'] === `ping-${rounds - 1}`,
      'the last',
      30_000,
    );
    expect(idsOf(component.received)).toEqual(expected);
    await bob.settle();
    const good = idsOf(bob.received.filter(({ root }) => root.name === 'message'));
    expect(good).toEqual(Array.from({ length: rounds }, (_, k) => `good-${k}`));
  });
});
