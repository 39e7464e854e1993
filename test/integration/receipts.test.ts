import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { answerReceipt, asksForReceipt, receiptXml } from '../support/clients/receipts.ts';
import { enterRoom } from '../support/clients/room.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import {
  type Federation,
  loopback,
  startFederation,
  startMixedFederation,
} from '../support/servers/federation.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { startChild } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const slixmppClient = fileURLToPath(
  new URL('../support/clients/slixmpp_client.py', import.meta.url),
);

const room = 'lobby@rooms.example.org';

const muc = 'rooms.example.org';
const component = 'modules_enabled = { "message_gateway" }';

/** Each server with the module, and another one that it reaches. */
const federations = [
  {
    kind: 'prosody',
    far: 'far.example',
    start: () =>
      startFederation(
        { muc, extra: { component } },
        { domains: ['far.example'], components: [{ domain: 'unused.example', secret: 'secret' }] },
      ),
  },
  {
    kind: 'ejabberd',
    far: loopback,
    start: () => startMixedFederation({ ...ejabberdWithModule, muc }),
  },
] as const;

describe.each(federations)('a receipt of the recipient on $kind', ({ kind, far, start }) => {
  let servers: Federation;
  let gateway: GatewayProcess;
  let metricsPort: number;
  const sessions = new Map<string, Session>();
  const table: string[] = [];

  const session = (name: string): Session => {
    const found = sessions.get(name);
    if (found === undefined) throw new Error(`expected a session of ${name}`);
    return found;
  };

  beforeAll(async () => {
    servers = await start();
    const { near } = servers;
    for (const name of ['alice', 'bob', 'carol', 'dave', 'mallory', 'bot']) {
      await near.register(name, name);
    }
    for (const name of ['zoe', 'yves']) await servers.far.register(name, name);
    metricsPort = await freePort();
    const metrics = { host: '127.0.0.1', port: metricsPort };
    const config = gatewayConfig(near, { http: { metrics } });
    gateway = await startGatewayProcess({ config });
    const log = async (key: string, server: XmppServer, name = key): Promise<void> => {
      sessions.set(key, await openSessionOn(server, name, name));
    };
    for (const name of ['bob', 'dave', 'mallory']) await log(name, near);
    await log('zoe', servers.far);
    await log("bob's phone", near, 'bob');
    await enterRoom(session('dave'), room, 'dave');
  }, 300_000);

  afterAll(async () => {
    console.log(`Prefer: wait on ${kind}\n${table.join('\n')}`);
    for (const it of sessions.values()) it.destroy();
    await gateway?.stop();
    await servers?.stop();
  });

  const url = (): string => `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`;

  function send(
    body: unknown,
    { seconds = 60, type = 'application/json', key = '', query = '', user = false } = {},
  ): Promise<HttpAnswer> {
    return post(`${url()}${user ? '' : '/alice'}${query}`, {
      auth: user ? ['bot', 'bot'] : [apiAccount.username, apiAccount.password],
      type,
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { prefer: `wait=${seconds}`, ...(key && { 'idempotency-key': key }) },
      agent: false,
    });
  }

  const sentTo = (name: string): Promise<unknown> => session('dave').waitForMessage(name);

  const rows: readonly {
    readonly recipient: string;
    readonly to: string;
    /** Who sends a receipt. */
    readonly by: readonly string[];
    readonly confirmed: string;
    readonly applied?: boolean;
    readonly more?: object;
  }[] = [
    {
      recipient: 'online, two clients',
      to: 'bob@example.org',
      by: ['bob', "bob's phone"],
      confirmed: 'recipient',
    },
    {
      recipient: 'online, one of two clients',
      to: 'bob@example.org',
      by: ["bob's phone"],
      confirmed: 'recipient',
    },
    { recipient: 'offline', to: 'carol@example.org', by: [], confirmed: 'server' },
    { recipient: 'remote, online', to: `zoe@${far}`, by: ['zoe'], confirmed: 'recipient' },
    { recipient: 'remote, offline', to: `yves@${far}`, by: [], confirmed: 'server' },
    { recipient: 'online, sends no receipts', to: 'dave@example.org', by: [], confirmed: 'server' },
    {
      recipient: 'room',
      to: room,
      by: [],
      confirmed: 'remote',
      applied: false,
      more: { type: 'groupchat' },
    },
    {
      recipient: 'headline',
      to: 'bob@example.org',
      by: [],
      confirmed: 'server',
      applied: false,
      more: { type: 'headline' },
    },
  ];

  test.each(rows)('$recipient', async ({ recipient, to, by, confirmed, applied = true, more }) => {
    const id = `row ${recipient}`;
    const seconds = by.length > 0 ? 60 : 1;
    const answering = by.map((name) => answerReceipt(session(name), id));
    const answer = await send({ to, id, body: 'hi', ...more }, { seconds });
    await Promise.all(answering);
    table.push(
      `  ${recipient.padEnd(28)} ${answer.status} confirmed: ${String(answer.json()['confirmed'])}`,
    );
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ id, confirmed, mode: 'client' });
    expect(answer.headers['preference-applied']).toBe(applied ? `wait=${seconds}` : undefined);
    if (!applied) {
      const seen = await session(recipient === 'room' ? 'dave' : 'bob').waitForMessage(id);
      expect(asksForReceipt(seen)).toBe(false);
    }
  });

  test('that is forged changes nothing', async () => {
    const id = 'forged';
    const answer = send({ to: 'dave@example.org', id, body: 'hi' }, { seconds: 2 });
    const { root } = await session('dave').waitForMessage(id);
    const from = String(root.attributes['from']);
    session('mallory').send(receiptXml(from, id));
    session('zoe').send(receiptXml(from, id));
    session('dave').send(receiptXml(from, 'another'));
    session('dave').send(receiptXml('alice@example.org', id));
    session('dave').send(receiptXml('alice@example.org/desk', id));
    session('mallory').send(receiptXml('gateway.example.org', id));
    expect((await answer).json()).toMatchObject({ confirmed: 'server' });
    const late = gateway.logLines().filter(({ msg }) => msg === 'receipt after the answer');
    expect(late).toEqual([]);
  });

  test.each([
    [
      'XML',
      `<message to='bob@example.org' id='ID'><body>b</body></message>`,
      { type: 'application/xml' },
    ],
    ['a form', 'to=bob@example.org&body=b&id=ID', { type: 'application/x-www-form-urlencoded' }],
    ['plain text', 'b', { type: 'text/plain', query: '?to=bob@example.org&id=ID' }],
    ['a template', '{"text": "b"}', { query: '?template=slack&to=bob@example.org&id=ID' }],
    ['an XMPP user', '{"to": "bob@example.org", "body": "b", "id": "ID"}', { user: true }],
  ])('is waited for with %s', async (name, body, options) => {
    const id = `input-${name.replaceAll(' ', '-')}`;
    const answering = answerReceipt(session('bob'), id);
    const query = ('query' in options ? options.query : '').replace('ID', id);
    const answer = await send(body.replace('ID', id), { ...options, query });
    await answering;
    expect(answer.json()).toMatchObject({ id, confirmed: 'recipient' });
    expect(answer.headers['preference-applied']).toBe('wait=60');
  });

  test('comes from a client library by itself', async () => {
    const { near } = servers;
    await near.register('lib', 'lib');
    const client = await startChild({
      // Not the first in PATH, which may be one without Debian's packages.
      file: '/usr/bin/python3',
      args: [slixmppClient, 'lib@example.org/slixmpp', 'lib', String(near.c2sPort)],
    });
    onTestFinished(async () => void (await client.end('SIGKILL')));
    await waitUntil(() => client.output().includes('ready'), { label: 'slixmpp' });
    for (const to of ['lib@example.org', 'lib@example.org/slixmpp']) {
      const answer = await send({ to, body: 'hi' });
      expect(answer.json()).toMatchObject({ to, confirmed: 'recipient' });
    }
  });

  test('is told for each recipient of a list', async () => {
    const answering = [
      answerReceipt(session('bob'), 'list'),
      answerReceipt(session('zoe'), 'list'),
    ];
    const to = ['dave@example.org', 'bob@example.org', `zoe@${far}`, 'nobody@example.org'];
    const answer = await send({ to, id: 'list', body: 'hi' }, { seconds: 5 });
    await Promise.all(answering);
    expect(answer.status).toBe(207);
    expect(answer.headers['preference-applied']).toBe('wait=5');
    expect(answer.json()['results']).toMatchObject([
      { to: to[0], confirmed: 'server' },
      { to: to[1], confirmed: 'recipient' },
      { to: to[2], confirmed: 'recipient' },
      { to: to[3], code: 'bounced' },
    ]);
  });

  test('is told for each line, and not for all by the header', async () => {
    const answering = answerReceipt(session('bob'), 'line 1');
    const lines = [
      { to: 'bob@example.org', id: 'line 1', body: 'b', wait: 60 },
      { to: 'dave@example.org', id: 'line 2', body: 'b', wait: 1 },
      { to: 'dave@example.org', id: 'line 3', body: 'b' },
      { to: 'bob@example.org', id: 'line 4', body: 'b', wait: 61 },
    ];
    const body = lines.map((it) => `${JSON.stringify(it)}\n`).join('');
    const answer = await send(body, { type: 'application/x-ndjson' });
    await answering;
    const answers = answer.body
      .trimEnd()
      .split('\n')
      .map((it): Record<string, unknown> => JSON.parse(it));
    const byLine = new Map(answers.map((it) => [it['line'], it]));
    expect(byLine.get(1)).toMatchObject({ confirmed: 'recipient' });
    expect(byLine.get(2)).toMatchObject({ confirmed: 'server' });
    expect(byLine.get(3)).toMatchObject({ confirmed: 'server' });
    expect(byLine.get(4)).toMatchObject({ status: 422, errors: [{ pointer: '/wait' }] });
    expect(asksForReceipt(await session('dave').waitForMessage('line 2'))).toBe(true);
    expect(asksForReceipt(await session('dave').waitForMessage('line 3'))).toBe(false);
  });

  test('that comes late is logged and counted, and a replay knows it', async () => {
    const message = { to: 'dave@example.org', id: 'late', body: 'hi' };
    const options = { seconds: 1, key: 'late' };
    const first = send(message, options);
    await sentTo('late');
    expect((await first).json()).toMatchObject({ confirmed: 'server' });
    await answerReceipt(session('dave'), 'late');
    const line = await gateway.waitForLine('receipt after the answer');
    expect(line).toMatchObject({ id: 'late', recipientDomain: 'example.org' });
    const replay = await send(message, options);
    expect(replay.headers['idempotency-replayed']).toBe('true');
    expect(replay.json()).toMatchObject({ id: 'late', confirmed: 'recipient' });
    const metrics = await request(`http://127.0.0.1:${metricsPort}/metrics`);
    expect(metrics.body).toContain('xmpp_message_gateway_late_receipts_total 1\n');
  });

  test('is not waited for by a replay, which says what is known by then', async () => {
    const message = { to: 'dave@example.org', id: 'replay', body: 'hi' };
    const first = send(message, { key: 'replay' });
    const { root } = await session('dave').waitForMessage('replay');
    const replay = await waitUntil(
      async () => {
        const answer = await send(message, { key: 'replay' });
        return answer.status === 409 ? undefined : answer;
      },
      { label: 'an answer to keep' },
    );
    expect(replay.json()).toMatchObject({ confirmed: 'server' });
    session('dave').send(receiptXml(String(root.attributes['from']), 'replay'));
    expect((await first).json()).toMatchObject({ confirmed: 'recipient' });
    const last = await send(message, { key: 'replay' });
    expect(last.json()).toMatchObject({ confirmed: 'recipient' });
    expect(last.headers['preference-applied']).toBeUndefined();
  });

  test('is asked for in a dry run', async () => {
    const answer = await send({ to: 'bob@example.org', body: 'hi' }, { query: '?dry_run=true' });
    expect(answer.body).toContain('<request xmlns="urn:xmpp:receipts"/>');
    const extra = `<request xmlns='urn:xmpp:receipts'/>`;
    const own = { to: 'bob@example.org', body: 'hi', extra_elements: extra };
    const once = await send(own, { query: '?dry_run=true' });
    expect(once.body.match(/<request/g)).toHaveLength(1);
    const receipt = `<received xmlns='urn:xmpp:receipts' id='1'/>`;
    const ofReceipt = { to: 'bob@example.org', extra_elements: receipt };
    expect((await send(ofReceipt, { query: '?dry_run=true' })).body).not.toContain('<request');
  });

  test('keeps no others waiting, and SIGTERM answers what is known', async () => {
    const waiting = Array.from({ length: 300 }, (_, index) =>
      send({ to: 'dave@example.org', id: `waiting-${index}`, body: 'hi' }),
    );
    await waitUntil(
      () =>
        session('dave').received.filter(({ xml }) => xml.includes(`id='waiting-`)).length >= 300,
      { label: '300 messages' },
    );
    let answered = 0;
    for (const answer of waiting) void answer.then(() => (answered += 1));
    // Sequentially, so that one that was held up would hold up the rest.
    for (let index = 0; index < 50; index += 1) {
      const body = { to: 'bob@example.org', id: `beside-${index}`, body: 'hi' };
      expect((await send(body, { seconds: 0 })).status).toBe(200);
    }
    await answerReceipt(session('dave'), 'waiting-7');
    expect((await waiting[7])?.json()).toMatchObject({ confirmed: 'recipient' });
    expect(answered).toBe(1);
    gateway.signal('SIGTERM');
    const answers = await Promise.all(waiting);
    const confirmed = answers.map((answer) => answer.json()['confirmed']);
    expect(confirmed.filter((it) => it === 'server')).toHaveLength(299);
    expect((await gateway.exited).code).toBe(0);
  });
});
