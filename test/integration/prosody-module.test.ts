import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  idsOf,
  message,
  ping,
  question,
} from '../support/checks/gateway-module.ts';
import { limited, muc } from '../support/checks/message-kinds.ts';
import { find } from '../support/clients/stanza.ts';
import { startProsodyWithModule } from '../support/servers/prosody-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

// What it does on ejabberd too is in gateway-module.test.ts.
let server: XmppServer;
beforeAll(async () => {
  server = await startProsodyWithModule();
});
afterAll(() => server.stop());

describe('how it announces itself', () => {
  test('to the component, on virtual hosts and room services, with its features', async () => {
    const open = await connectComponent(server);
    const withRooms = await connectComponent(server, limited);
    for (const [host, ...features] of [
      ['example.org', 'receipts'],
      ['other.example', 'receipts'],
      [muc],
    ] as const) {
      const { root } = await ask(open, server.componentDomain, host, question);
      expect(root.attributes['type']).toBe('result');
      expect(find(root, 'gateway')).toMatchObject({
        name: 'gateway',
        namespace: 'urn:xmpp-message-gateway:0',
        attributes: { version: '1' },
        children: features.map((name) => ({ name })),
      });
      const answer = await ask(withRooms, limited, host, question);
      expect(find(answer.root, 'gateway')?.children).toMatchObject(
        ['speak-in-rooms', ...features].map((name) => ({ name })),
      );
    }
  });
});

describe('what goes through, and what comes back', () => {
  const from = 'alice@example.org/http-1';

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

  test('a message to oneself that is refused is an error from there', async () => {
    const component = await connectComponent(server);
    const self = 'alice@example.org';
    const stanza = message(from, self, 'refused', `type='groupchat'><body>b</body>`);
    expect(await fateOf(component, server.componentDomain, stanza, 'refused')).toMatchObject({
      to: from,
      condition: 'service-unavailable',
    });
    expect(component.received[0]?.root.attributes['from']).toBe(self);
  });

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
