import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, request } from '../support/clients/http.ts';
import { answerReceipt, asksForReceipt } from '../support/clients/receipts.ts';
import { enterRoom } from '../support/clients/room.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import { find } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { announcesServedSenders, servesPrivilegedSenders } from '../support/servers/differences.ts';
import { modeSetups } from '../support/servers/mode-setups.ts';
import { runInProsodyShell } from '../support/servers/prosody-shell.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

const served = announcesServedSenders('ejabberd') ? true : null;

const reports = {
  prosody: {
    client: { archive: true, carbons: true, bounces: { local: true, remote: true } },
    privileged: { archive: true, carbons: true, bounces: { local: false, remote: false } },
    plain: { archive: false, carbons: false, bounces: { local: true, remote: false } },
  },
  ejabberd: {
    client: { archive: true, carbons: true, bounces: { local: true, remote: true } },
    privileged: { archive: served, carbons: served, bounces: { local: false, remote: false } },
    plain: { archive: false, carbons: false, bounces: { local: false, remote: false } },
  },
};

const wrapperRefusals = [
  {
    kind: 'prosody',
    mode: 'privileged',
    prepare: (server: XmppServer) =>
      runInProsodyShell(server, 'module:unload("privilege", "example.org")'),
    to: 'bob@example.org',
    status: 404,
    condition: 'service-unavailable',
  },
  {
    kind: 'ejabberd',
    mode: 'privileged',
    prepare: async () => {},
    // Unicode is older there than in JavaScript.
    to: 'bob@example.org/😀',
    status: 422,
    condition: 'bad-request',
  },
];

describe.each(modeSetups)('mode $mode on $kind', ({ kind, mode, options, start }) => {
  let site: GatewaySite;
  let alice: Session;

  beforeAll(async () => {
    site = await startGatewaySite(start, { ...options, muc: 'rooms.example.org' });
    await site.server.register('alice', 'alice-secret');
    alice = await openSessionOn(site.server, 'alice', 'alice-secret');
    await alice.query("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  });
  afterAll(async () => {
    alice?.destroy();
    await site?.stop();
  });

  test('is found and told', async () => {
    const report = { mode, ...reports[kind][mode] };
    const ready = await request(`${site.gateway.url}/readyz`);
    expect(ready.json()).toEqual({ status: 'ready', domains: { 'example.org': report } });
    const { domains } = await site.gateway.waitForLine('component stream ready');
    // A busy ejabberd announces a privilege later than a new stream waits for it.
    const late = site.gateway.logLines().filter(({ msg }) => msg === 'mode changed');
    if (late.length > 0) expect(late).toMatchObject([{ domain: 'example.org', now: mode }]);
    else expect(domains).toEqual({ 'example.org': report });
  });

  test('brings the message to the recipient, from what the answer says', async () => {
    const answer = await site.postAs(
      'alice',
      JSON.stringify({ to: 'bob@example.org', body: 'hi' }),
    );
    expect(answer.status).toBe(200);
    const { id, from, ...rest } = answer.json() as Record<string, string>;
    expect(rest).toMatchObject({ mode, confirmed: 'server' });
    expect(from).toMatch(
      mode === 'client' ? /^alice@example\.org\/http-[\w-]{12}$/ : /^alice@example\.org$/,
    );
    const { root } = await site.bob.waitForMessage(String(id));
    expect(root.attributes).toMatchObject({ from, type: 'chat' });
    expect(find(root, 'body')?.children).toEqual(['hi']);
    expect(find(root, 'body')?.namespace).toBe('jabber:client');
  });

  test('waits for a receipt, or says that it does not', async () => {
    const id = 'waited for';
    const answering = mode === 'client' ? answerReceipt(site.bob, id) : undefined;
    const answer = await post(
      `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`,
      {
        auth: [apiAccount.username, apiAccount.password],
        headers: { prefer: 'wait=60' },
        body: JSON.stringify({ to: 'bob@example.org', id, body: 'hi' }),
      },
    );
    await answering;
    const isApplied = mode === 'client';
    expect(answer.json()).toMatchObject({ confirmed: isApplied ? 'recipient' : 'server' });
    expect(answer.headers['preference-applied']).toBe(isApplied ? 'wait=60' : undefined);
    expect(asksForReceipt(await site.bob.waitForMessage(id))).toBe(isApplied);
  });

  test('copies it to the other devices of the sender, or not', async () => {
    const answer = await site.postAs(
      'alice',
      JSON.stringify({ to: 'bob@example.org', body: 'copy' }),
    );
    const { id } = answer.json() as { id: string };
    await site.bob.waitForMessage(id);
    await alice.settle();
    const copies = alice.received.filter(({ xml }) => xml.includes(id));
    const isCopied =
      mode === 'privileged' ? servesPrivilegedSenders(kind) : reports[kind][mode].carbons;
    expect(copies).toHaveLength(isCopied ? 1 : 0);
  });

  test('keeps attributes that are not of XMPP, or drops them', async () => {
    const own = { message_attributes: { mine: '1' }, body_attributes: { mine: '2' } };
    const json = { to: 'bob@example.org', body: 'hi', ...own };
    const answer = await site.postAs('alice', JSON.stringify(json));
    const { root } = await site.bob.waitForMessage((answer.json() as { id: string }).id);
    const found = [root.attributes['mine'], find(root, 'body')?.attributes['mine']];
    expect(found).toEqual(kind === 'prosody' ? ['1', '2'] : [undefined, undefined]);
  });

  test('speaks in a room', async () => {
    const room = await enterRoom(site.bob, 'lobby@rooms.example.org', 'bob');
    const json = { to: room.jid, body: 'hi', message_attributes: { type: 'groupchat' } };
    const answer = await site.postAs('alice', JSON.stringify(json));
    expect(answer.json()).toMatchObject({ status: 'success' });
    await room.waitForMessage((answer.json() as { id: string }).id);
  });

  test.each([
    ['chat', 'nobody@example.org'],
    ['groupchat', 'alice@example.org'],
  ])('returns a bounce, or not: %s to %s', async (type, to) => {
    const answer = await site.postAs('alice', JSON.stringify({ to, type, body: 'x' }));
    expect(answer.status).toBe(reports[kind][mode].bounces.local ? 404 : 200);
  });

  test.each(wrapperRefusals.filter((refusal) => refusal.kind === kind && refusal.mode === mode))(
    'returns the refusal of the message around it',
    async ({ prepare, to, status, condition }) => {
      await prepare(site.server);
      const answer = await site.postAs('alice', JSON.stringify({ to, body: 'hi' }));
      expect(answer.status).toBe(status);
      expect(answer.json()).toMatchObject({ code: 'bounced', condition });
    },
  );
});
