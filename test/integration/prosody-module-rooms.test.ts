import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  message,
  question,
} from '../support/checks/gateway-module.ts';
import { limited, muc } from '../support/checks/message-kinds.ts';
import type { Session } from '../support/clients/session.ts';
import { find, text } from '../support/clients/stanza.ts';
import {
  faultyMuc,
  lockingMuc,
  startProsodyWithModule,
  unlockingMuc,
} from '../support/servers/prosody-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

let server: XmppServer;
beforeAll(async () => {
  server = await startProsodyWithModule();
});
afterAll(() => server.stop());

describe('rooms', () => {
  const from = 'alice@example.org/http-1';
  const x = "<x xmlns='http://jabber.org/protocol/muc'/>";
  const say = (room: string, id: string, sender = from) =>
    message(sender, `${room}@${muc}`, id, `type='groupchat'><body>${id}</body>`);

  /** A room with bob in it as its owner, configured by these fields. */
  async function openRoom(room: string, fields: Record<string, string> = {}): Promise<Session> {
    const owner = await connectClient(server, `bob@example.org/${room}`);
    owner.send(`<presence to='${room}@${muc}/bob'>${x}</presence>`);
    const form = Object.entries({
      FORM_TYPE: 'http://jabber.org/protocol/muc#roomconfig',
      ...fields,
    });
    const values = form.map(
      ([name, value]) => `<field var='${name}'><value>${value}</value></field>`,
    );
    await owner.query(
      `<iq type='set' to='${room}@${muc}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>${values.join('')}</x></query></iq>`,
    );
    return owner;
  }

  async function affiliate(owner: Session, room: string, jid: string, affiliation: string) {
    await owner.query(
      `<iq type='set' to='${room}@${muc}'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='${affiliation}' jid='${jid}'/></query></iq>`,
    );
  }

  test('without joining: everybody in it sees the message and nothing else', async () => {
    const owner = await openRoom('open');
    const component = await connectComponent(server, limited);
    const before = owner.received.length;
    component.send(say('open', 'hello'));
    const heard = await owner.waitForMessage('hello');
    expect(heard.root.attributes).toMatchObject({ from: `open@${muc}/alice`, type: 'groupchat' });
    expect(text(find(heard.root, 'body') as never)).toBe('hello');
    await owner.settle();
    const since = owner.received.slice(before).filter(({ root }) => root.name !== 'iq');
    expect(since).toHaveLength(1);
    await ask(component, limited, muc, question);
    expect(component.received.map(({ root }) => root.name)).toEqual(['iq']);
  });

  test('under the nick of a client of hers that is in it', async () => {
    const owner = await openRoom('nick');
    const alice = await connectClient(server, 'alice@example.org/nick');
    alice.send(`<presence to='nick@${muc}/queen'>${x}</presence>`);
    await alice.settle();
    const component = await connectComponent(server, limited);
    component.send(say('nick', 'hello'));
    const { root } = await owner.waitForMessage('hello');
    expect(root.attributes['from']).toBe(`nick@${muc}/queen`);
    await alice.waitForMessage('hello');
  });

  test.each([
    ['outcast', {}, 'outcast', 'forbidden'],
    ['membersonly', { 'muc#roomconfig_membersonly': '1' }, 'none', 'registration-required'],
    ['password', { 'muc#roomconfig_roomsecret': 'p' }, 'none', 'not-authorized'],
    ['moderated', { 'muc#roomconfig_moderatedroom': '1' }, 'none', 'forbidden'],
    ['member', { 'muc#roomconfig_membersonly': '1' }, 'member', undefined],
    ['voiced', { 'muc#roomconfig_moderatedroom': '1' }, 'member', undefined],
  ])('%s', async (room, fields, affiliation, condition) => {
    const owner = await openRoom(room, fields);
    await affiliate(owner, room, 'alice@example.org', affiliation);
    const component = await connectComponent(server, limited);
    const fate = await fateOf(component, limited, say(room, 'm'), 'm');
    expect(fate?.condition).toBe(condition);
    await owner.settle();
    const heard = owner.received.filter(({ root }) => root.attributes['id'] === 'm');
    expect(heard).toHaveLength(condition === undefined ? 1 : 0);
  });

  test('not under a nick that somebody has, nor in a room that does not exist', async () => {
    const owner = await openRoom('taken');
    const carol = await connectClient(server, 'carol@example.org/taken');
    carol.send(`<presence to='taken@${muc}/alice'>${x}</presence>`);
    await carol.settle();
    const component = await connectComponent(server, limited);
    expect(await fateOf(component, limited, say('taken', 'm'), 'm')).toMatchObject({
      condition: 'conflict',
    });
    expect(await fateOf(component, limited, say('nowhere', 'n'), 'n')).toMatchObject({
      condition: 'item-not-found',
    });
    await owner.settle();
    expect(owner.received.filter(({ root }) => root.attributes['id'] === 'm')).toEqual([]);
  });

  test.each([
    ['not in a room that its owner has not configured yet', lockingMuc, 'item-not-found'],
    ['in one that has waited for that too long', unlockingMuc, undefined],
  ])('%s', async (_, service, condition) => {
    const room = `new@${service}`;
    const owner = await connectClient(server, 'bob@example.org/new');
    owner.send(`<presence to='${room}/bob'>${x}</presence>`);
    await owner.settle();
    const component = await connectComponent(server, limited);
    const stanza = message(from, room, 'm', `type='groupchat'><body>b</body>`);
    expect((await fateOf(component, limited, stanza, 'm'))?.condition).toBe(condition);
    await owner.settle();
    const heard = owner.received.filter(({ root }) => root.attributes['id'] === 'm');
    expect(heard).toHaveLength(condition === undefined ? 1 : 0);
  });

  test('a message that a room fails on is an error, not lost', async () => {
    const room = `any@${faultyMuc}`;
    const bob = await connectClient(server, 'bob@example.org/faulty');
    bob.send(`<presence to='${room}/bob'>${x}</presence>`);
    await bob.settle();
    const component = await connectComponent(server, limited);
    const stanza = message(from, room, 'room-fault', `type='groupchat'><body>b</body>`);
    expect(await fateOf(component, limited, stanza, 'room-fault')).toMatchObject({
      to: from,
      by: limited,
      condition: 'internal-server-error',
    });
    expect(component.received[0]?.root.attributes['from']).toBe(room);
  });

  test('only where the server says so; joined, traffic comes to the component', async () => {
    const owner = await openRoom('joined');
    const component = await connectComponent(server);
    const fate = await fateOf(component, server.componentDomain, say('joined', 'm'), 'm');
    expect(fate).toMatchObject({ condition: 'not-acceptable' });
    component.send(`<presence from='${from}' to='joined@${muc}/alice'>${x}</presence>`);
    component.send(say('joined', 'joined'));
    const { root } = await owner.waitForMessage('joined');
    expect(root.attributes['from']).toBe(`joined@${muc}/alice`);
    await component.waitFor(
      ({ root: { attributes } }) =>
        attributes['id'] === 'joined' && attributes['type'] === 'groupchat',
      'the reflection',
    );
  });
});
