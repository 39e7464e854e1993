import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { basic, type HttpAnswer, post } from '../support/clients/http.ts';
import { connectRaw } from '../support/clients/http-connection.ts';
import { bodyOf, enterRoom, type Room, roomExists } from '../support/clients/room.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import { find, text } from '../support/clients/stanza.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { keepsOccupants } from '../support/servers/differences.ts';
import { type Federation, startFederation, unreachable } from '../support/servers/federation.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { servers } from '../support/servers/servers.ts';
import type { ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const service = 'conference.example.org';
const other = { domain: 'other.example.org', secret: 'secret' };
const own = { domain: 'gateway.example.org', secret: 'secret' };

const options: ServerOptions = { muc: service, components: [own, other] };
const passwords = { [`Locked@${service}`]: "<open> & 'sesame'" };

let rooms = 0;

/** A separate room for each test, with both clients in it; bob owns it. */
async function openRoom(bob: Session, carol: Session, name?: string) {
  rooms += 1;
  const jid = `${name ?? `room-${rooms}`}@${service}`;
  const asBob = await enterRoom(bob, jid, 'bob');
  await asBob.configure({});
  const asCarol = await enterRoom(carol, jid, 'carol');
  return { jid, asBob, asCarol };
}

function speech(to: string, id: string): string {
  return JSON.stringify({
    to,
    body: `text of ${id}`,
    message_attributes: { type: 'groupchat', id },
  });
}

function startSecondGateway(server: XmppServer, settings: object): Promise<GatewayProcess> {
  const { domain, port, secret } = server.components[1] ?? { ...other, port: 0 };
  const config = gatewayConfig(server, { component: { domain, port, secret }, ...settings });
  return startGatewayProcess({ config });
}

const path = '/api/1.0/xmppdomains/example.org/gateway/messages/alice';
const auth = [apiAccount.username, apiAccount.password] as const;

function postTo(gateway: GatewayProcess, body: string): Promise<HttpAnswer> {
  return post(`${gateway.url}${path}`, { auth, body });
}

/** Everything that both clients saw being said, by whom; both must have seen the same. */
function said({ asBob, asCarol }: { asBob: Room; asCarol: Room }): string[] {
  const seen = asBob
    .messages()
    .flatMap(({ nick, id }) => (id === undefined ? [] : `${nick}: ${id}`));
  const carols = asCarol
    .messages()
    .flatMap(({ nick, id }) => (id === undefined ? [] : `${nick}: ${id}`));
  expect(carols).toEqual(seen);
  return seen;
}

describe.each(servers)('rooms on $kind', ({ kind, start }) => {
  let site: GatewaySite;
  let bob: Session;
  let carol: Session;

  beforeAll(async () => {
    site = await startGatewaySite(start, options, { rooms: { passwords } });
    await site.server.register('carol', 'carol-secret');
    bob = site.bob;
    carol = await openSessionOn(site.server, 'carol', 'carol-secret');
  });
  afterAll(async () => {
    carol?.destroy();
    await site?.stop();
  });

  const settle = async (): Promise<void> => {
    await bob.settle();
    await carol.settle();
  };

  test('a message reaches all, from an occupant that comes once and stays', async () => {
    const room = await openRoom(bob, carol);
    for (const id of ['first', 'second']) {
      const answer = await site.postAs('alice', speech(room.jid.toUpperCase(), id));
      expect(answer.json()).toMatchObject({
        status: 'success',
        id,
        from: 'alice%example.org@gateway.example.org/gateway',
        to: room.jid,
        mode: 'plain',
        confirmed: 'remote',
      });
      expect(bodyOf(await room.asCarol.waitForMessage(id))).toBe(`text of ${id}`);
    }
    await settle();
    expect(said(room)).toEqual(['alice: first', 'alice: second']);
    expect(room.asCarol.comings()).toEqual(['+alice']);
  });

  test('each sender has an occupant, and whoever has the nick keeps it', async () => {
    const room = await openRoom(bob, carol);
    const taken = await enterRoom(carol, room.jid, 'carol-alice');
    taken.leave();
    const alice = await enterRoom(
      await openSessionOn(site.server, 'bot', 'bot-secret'),
      room.jid,
      'alice',
    );
    expect((await site.postAs('alice', speech(room.jid, 'a'))).status).toBe(200);
    expect((await site.postAsBot(speech(room.jid, 'b'))).status).toBe(200);
    await alice.waitForMessage('b');
    expect(alice.messages().filter(({ id }) => id !== undefined)).toEqual([
      { nick: 'alice-2', id: 'a' },
      { nick: 'bot', id: 'b' },
    ]);
    alice.leave();
  });

  test('100 messages of one sender are seen by all in the order of their requests', async () => {
    const room = await openRoom(bob, carol);
    await site.postAs('alice', speech(room.jid, 'join'));
    const ids = Array.from({ length: 100 }, (_, index) => `order-${index}`);
    const requests = ids.map((id, index) => {
      const body = speech(room.jid, id);
      const close = index === ids.length - 1 ? 'Connection: close\r\n' : '';
      return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${basic(...auth)}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${close}\r\n${body}`;
    });
    const raw = await connectRaw(site.gateway.port);
    raw.write(requests.join(''));
    expect((await raw.closed).match(/HTTP\/1\.1 200 /g)).toHaveLength(100);
    await settle();
    expect(said(room)).toEqual(['join', ...ids].map((id) => `alice: ${id}`));
  });

  test('a flood to one room does not hold up another', async () => {
    const [flooded, quiet] = [await openRoom(bob, carol), await openRoom(bob, carol)];
    const flood = Array.from({ length: 200 }, (_, index) =>
      site.postAs('alice', speech(flooded.jid, `flood-${index}`)),
    );
    for (const id of ['q1', 'q2', 'q3']) {
      expect((await site.postAs('alice', speech(quiet.jid, id))).status).toBe(200);
    }
    const statuses = (await Promise.all(flood)).map(({ status }) => status);
    expect(statuses).toEqual(statuses.map(() => 200));
    await settle();
    expect(said(quiet)).toEqual(['alice: q1', 'alice: q2', 'alice: q3']);
    expect(said(flooded)).toHaveLength(200);
  });

  describe('a refusal is told, and nobody sees anything:', () => {
    const occupant = 'alice%example.org@gateway.example.org';
    const full = { 'muc#roomconfig_maxusers': '5' };
    const sentences: Readonly<Record<string, string>> = {
      'registration-required': `for members only: ${occupant} must become a member.`,
      forbidden: `${occupant} is banned from the room`,
      'not-authorized': 'wants a password: set the right one in rooms.passwords',
      conflict: `The nick of ${occupant} is taken in the room`,
      'resource-constraint': 'is full',
    };
    test.each<[string, number, string, (room: Room) => Promise<unknown>]>([
      [
        'members-only',
        403,
        'registration-required',
        (room) => room.configure({ 'muc#roomconfig_membersonly': '1' }),
      ],
      ['banned', 403, 'forbidden', (room) => room.setAffiliation(occupant, 'outcast')],
      [
        'password',
        403,
        'not-authorized',
        (room) =>
          room.configure({
            'muc#roomconfig_passwordprotectedroom': '1',
            'muc#roomconfig_roomsecret': 'sesame',
          }),
      ],
      [
        'all nicks taken',
        502,
        'conflict',
        async ({ jid }) => {
          for (const [index, nick] of ['alice', 'alice-2', 'alice-3'].entries()) {
            const session = await openSessionOn(site.server, 'bot', 'bot-secret', {
              resource: `r${index}`,
            });
            await enterRoom(session, jid, nick);
          }
        },
      ],
      ...(kind === 'prosody'
        ? []
        : [
            [
              'full',
              503,
              'resource-constraint',
              async (room: Room) => {
                await room.configure(full);
                for (const nick of ['x', 'y', 'z']) {
                  const session = await openSessionOn(site.server, 'bot', 'bot-secret', {
                    resource: nick,
                  });
                  await enterRoom(session, room.jid, nick);
                }
              },
            ] as [string, number, string, (room: Room) => Promise<unknown>],
          ]),
    ])('%s', async (_, status, condition, arrange) => {
      const room = await openRoom(bob, carol);
      await arrange(room.asBob);
      await settle();
      const before = room.asCarol.comings();
      const answer = await site.postAs('alice', speech(room.jid, 'refused'));
      expect(answer.json()).toMatchObject({
        code: 'bounced',
        status,
        condition,
        detail: expect.stringContaining(sentences[condition] ?? ''),
      });
      await settle();
      expect(said(room)).toEqual([]);
      expect(room.asCarol.comings()).toEqual(before);
    });

    test('moderated', async () => {
      const room = await openRoom(bob, carol);
      await room.asBob.configure({
        'muc#roomconfig_moderatedroom': '1',
        ...(kind === 'ejabberd' ? { members_by_default: '0' } : {}),
      });
      const answer = await site.postAs('alice', speech(room.jid, 'refused'));
      expect(answer.json()).toMatchObject({ status: 403, condition: 'forbidden' });
      await settle();
      expect(said(room)).toEqual([]);
    });

    test('no such room, and none is created', async () => {
      const jid = `nowhere@${service}`;
      const answer = await site.postAs('alice', speech(jid, 'refused'));
      expect(answer.json()).toMatchObject({
        status: 404,
        condition: 'item-not-found',
        detail: expect.stringContaining(`There is no room ${jid}`),
      });
      expect(await roomExists(bob, jid)).toBe(false);
    });

    test('a message to one occupant as if it were for all', async () => {
      const room = await openRoom(bob, carol);
      const ofOccupant = await site.postAs('alice', speech(`${room.jid}/bob`, 'refused'));
      expect(ofOccupant.status).toBe(kind === 'prosody' ? 422 : 200);
      await settle();
      expect(said(room)).toEqual([]);
      expect(room.asCarol.comings()).toEqual([]);
    });
  });

  test('a change of the subject, which Prosody reflects without its id, is confirmed', async () => {
    const room = await openRoom(bob, carol);
    await room.asBob.configure({ 'muc#roomconfig_changesubject': '1' });
    const change = (id: string, subject: string) =>
      site.postAs('alice', JSON.stringify({ to: room.jid, id, subject }));
    const answers = await Promise.all([change('1', 'Disk'), change('2', 'Memory & <CPU>')]);
    for (const answer of answers) {
      expect(answer.json()).toMatchObject({ status: 'success', confirmed: 'remote' });
    }
    await settle();
    const subjects = carol.received.flatMap(({ root }) => {
      const subject = find(root, 'subject');
      const isOfAlice = root.attributes['from'] === `${room.jid}/alice`;
      return isOfAlice && subject !== undefined ? text(subject) : [];
    });
    expect(subjects.toSorted()).toEqual(['Disk', 'Memory & <CPU>']);
    await room.asBob.configure({ 'muc#roomconfig_changesubject': '0' });
    const refused = await change('3', 'Disk');
    expect(refused.json()).toMatchObject({ code: 'bounced', condition: 'forbidden' });
  });

  test('a configured password opens the room', async () => {
    const room = await openRoom(bob, carol, 'locked');
    await room.asBob.configure({
      'muc#roomconfig_passwordprotectedroom': '1',
      'muc#roomconfig_roomsecret': '&lt;open&gt; &amp; &apos;sesame&apos;',
    });
    expect((await site.postAs('alice', speech(room.jid, 'let-in'))).status).toBe(200);
    await room.asCarol.waitForMessage('let-in');
    expect(site.gateway.output()).not.toContain('sesame');
  });

  test('one who was kicked comes back with the next message, one who was banned does not', async () => {
    const room = await openRoom(bob, carol);
    await site.postAs('alice', speech(room.jid, 'before'));
    await room.asBob.kick('alice');
    await room.asCarol.waitForComing('-alice');
    expect((await site.postAs('alice', speech(room.jid, 'after'))).status).toBe(200);
    await settle();
    expect(said(room)).toEqual(['alice: before', 'alice: after']);
    expect(room.asCarol.comings()).toEqual(['+alice', '-alice', '+alice']);
    await room.asBob.setAffiliation('alice%example.org@gateway.example.org', 'outcast');
    await settle();
    const answer = await site.postAs('alice', speech(room.jid, 'banned'));
    expect(answer.json()).toMatchObject({ status: 403, condition: 'forbidden' });
  });

  test('a room that was destroyed is not created again', async () => {
    const room = await openRoom(bob, carol);
    await site.postAs('alice', speech(room.jid, 'before'));
    await room.asBob.destroy();
    const answer = await site.postAs('alice', speech(room.jid, 'after'));
    expect(answer.json()).toMatchObject({ status: 404, condition: 'item-not-found' });
    expect(await roomExists(bob, room.jid)).toBe(false);
  });

  test('a ping through the room is answered', async () => {
    const room = await openRoom(bob, carol);
    await site.postAs('alice', speech(room.jid, 'here'));
    const ping = `<iq type='get' to='${room.jid}/alice'><ping xmlns='urn:xmpp:ping'/></iq>`;
    expect((await bob.query(ping)).root.attributes['type']).toBe('result');
  });

  test('the occupant leaves after rooms.idle_ms, and at shutdown', async () => {
    const room = await openRoom(bob, carol);
    const gateway = await startSecondGateway(site.server, { rooms: { idle_ms: 200 } });
    try {
      await postTo(gateway, speech(room.jid, 'one'));
      await room.asCarol.waitForComing('-alice');
      expect(room.asCarol.comings()).toEqual(['+alice', '-alice']);
    } finally {
      await gateway.stop();
    }
    const next = await startSecondGateway(site.server, {});
    try {
      await postTo(next, speech(room.jid, 'two'));
    } finally {
      await next.stop();
    }
    await waitUntil(() => room.asCarol.comings().length === 4, { label: 'the occupant to leave' });
    expect(room.asCarol.comings()).toEqual(['+alice', '-alice', '+alice', '-alice']);
    await settle();
    expect(said(room)).toEqual(['alice: one', 'alice: two']);
  });

  test('an occupant that a crashed gateway left behind goes', async () => {
    const room = await openRoom(bob, carol);
    const crashed = await startSecondGateway(site.server, {});
    await postTo(crashed, speech(room.jid, 'before'));
    await crashed.stop('SIGKILL');
    const next = await startSecondGateway(site.server, {});
    try {
      room.asBob.say('anybody', 'there?');
      await room.asCarol.waitForComing('-alice');
    } finally {
      await next.stop();
    }
    expect(room.asCarol.comings()).toEqual(['+alice', '-alice']);
  });

  test('after a restart of the server the occupant comes again', async () => {
    const { jid } = await openRoom(bob, carol);
    expect((await site.postAs('alice', speech(jid, 'before'))).status).toBe(200);
    await site.server.restart();
    await site.gateway.waitUntilReady();
    const dave = await openSessionOn(site.server, 'bob', 'bob-secret');
    const room = await enterRoom(dave, jid, 'dave');
    await room.configure({});
    const answers = await Promise.all(
      ['x', 'y', 'z'].map((id) => site.postAs('alice', speech(jid, id))),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    await dave.settle();
    expect(room.comings()).toEqual(keepsOccupants(kind) ? [] : ['+alice']);
    const saidAfter = room
      .messages()
      .flatMap(({ id }) => (id === undefined || id === 'before' ? [] : id));
    expect(saidAfter.toSorted()).toEqual(['x', 'y', 'z']);
    dave.destroy();
  });
});

describe('with the module, on prosody', () => {
  let site: GatewaySite;
  let carol: Session;

  beforeAll(async () => {
    const extra = {
      ...withModule.extra,
      component: `${withModule.extra?.component}\n  message_gateway_speak_in_rooms = true`,
    };
    site = await startGatewaySite(startProsody, { muc: service, extra }, { rooms: { passwords } });
    await site.server.register('carol', 'carol-secret');
    await site.server.register('alice', 'alice-secret');
    carol = await openSessionOn(site.server, 'carol', 'carol-secret');
  });
  afterAll(async () => {
    carol?.destroy();
    await site?.stop();
  });

  test('users speak without joining', async () => {
    const room = await openRoom(site.bob, carol);
    const ids = ['one', 'two', 'three'];
    const answers = await Promise.all(ids.map((id) => site.postAs('alice', speech(room.jid, id))));
    for (const answer of answers) {
      expect(answer.json()).toMatchObject({ status: 'success', mode: 'client' });
      expect(answer.json()['from']).toMatch(/^alice@example\.org\/http-/);
    }
    await site.bob.settle();
    await carol.settle();
    expect(said(room).toSorted()).toEqual(ids.map((id) => `alice: ${id}`).toSorted());
    expect(room.asCarol.comings()).toEqual([]);
  });

  test('a room that wants its password gets it from an occupant', async () => {
    const room = await openRoom(site.bob, carol, 'locked');
    await room.asBob.configure({
      'muc#roomconfig_roomsecret': '&lt;open&gt; &amp; &apos;sesame&apos;',
    });
    const answer = await site.postAs('alice', speech(room.jid, 'in'));
    expect(answer.json()).toMatchObject({
      status: 'success',
      from: 'alice%example.org@gateway.example.org/gateway',
      mode: 'client',
      confirmed: 'remote',
    });
    await site.bob.settle();
    await carol.settle();
    expect(said(room)).toEqual(['alice: in']);
  });

  test('whoever has the nick keeps it', async () => {
    const room = await openRoom(site.bob, carol);
    const bot = await openSessionOn(site.server, 'bot', 'bot-secret');
    await enterRoom(bot, room.jid, 'alice');
    const answer = await site.postAs('alice', speech(room.jid, 'taken'));
    expect(answer.json()).toMatchObject({ status: 'success', confirmed: 'remote' });
    await site.bob.settle();
    await carol.settle();
    expect(said(room)).toEqual(['alice-2: taken']);
    bot.destroy();
  });

  test('a refusal comes back as a bounce', async () => {
    const room = await openRoom(site.bob, carol);
    await room.asBob.setAffiliation('alice@example.org', 'outcast');
    const answer = await site.postAs('alice', speech(room.jid, 'refused'));
    expect(answer.json()).toMatchObject({ code: 'bounced', status: 403, condition: 'forbidden' });
  });

  test('no room is created', async () => {
    const answer = await site.postAs('alice', speech(`nowhere@${service}`, 'refused'));
    expect(answer.json()).toMatchObject({ code: 'bounced', status: 404 });
    expect(await roomExists(site.bob, `nowhere@${service}`)).toBe(false);
  });
});

describe('rooms of another server', () => {
  let federation: Federation;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    federation = await startFederation(
      {},
      {
        domains: ['far.example'],
        components: [{ domain: 'unused.far.example', secret: 'secret' }],
        muc: 'rooms.far.example',
      },
    );
    for (const name of ['bob', 'carol']) await federation.far.register(name, 'secret');
    gateway = await startGatewayProcess({ config: gatewayConfig(federation.near) });
  });
  afterAll(async () => {
    await gateway?.stop();
    await federation?.stop();
  });

  test('are spoken in, and those that do not exist are not created', async () => {
    const bob = await openSessionOn(federation.far, 'bob', 'secret');
    const carol = await openSessionOn(federation.far, 'carol', 'secret');
    const jid = 'lobby@rooms.far.example';
    const asBob = await enterRoom(bob, jid, 'bob');
    await asBob.configure({});
    const room = { asBob, asCarol: await enterRoom(carol, jid, 'carol') };
    for (const id of ['one', 'two', 'three']) {
      const answer = await postTo(gateway, speech(jid, id));
      expect(answer.json()).toMatchObject({ id, mode: 'plain', confirmed: 'remote' });
    }
    expect(said(room)).toEqual(['alice: one', 'alice: two', 'alice: three']);
    expect(room.asCarol.comings()).toEqual(['+alice']);
    const nowhere = await postTo(gateway, speech('nowhere@rooms.far.example', 'x'));
    expect(nowhere.json()).toMatchObject({ status: 404, condition: 'item-not-found' });
    expect(await roomExists(bob, 'nowhere@rooms.far.example')).toBe(false);
    await room.asBob.setAffiliation('alice%example.org@gateway.example.org', 'outcast');
    const refused = await postTo(gateway, speech(jid, 'refused'));
    expect(refused.json()).toMatchObject({ status: 403, condition: 'forbidden' });
    for (const session of [bob, carol]) session.destroy();
  });

  test('whose server cannot be reached are refused', async () => {
    const answer = await postTo(gateway, speech(`lobby@${unreachable}`, 'x'));
    expect(answer.json()).toMatchObject({ status: 502, condition: 'remote-server-not-found' });
  });
});
