import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { createComponentStream } from '../../../../src/xmpp/stream/supervisor.ts';
import type { Stanza } from '../../../support/clients/stanza.ts';
import {
  answerHonestly,
  type ComponentPeer,
  type StanzaKind,
  startComponentServer,
} from '../../../support/doubles/component-server.ts';
import { waitUntil } from '../../../support/system/wait.ts';

type Script = Parameters<typeof startComponentServer>[0];

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** A stream to this port; `lines` are the lines of its log. */
function open(port: number) {
  const lines: Record<string, unknown>[] = [];
  const stream = createComponentStream({
    address: {
      host: '127.0.0.1',
      port,
      domain: 'gateway.example.org',
      secret: new Secret('component-secret'),
    },
    served: { domains: ['example.org', 'example.net'], mode: 'auto' },
    log: pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line)) }),
    events: { onReady: () => {}, onStanza: () => {}, onDrain: () => {}, onClose: () => {} },
  });
  stream.start();
  return { stream, lines };
}

/** A stream to a server that follows this script. */
async function connect(script: Script, announcements?: string) {
  const server = await startComponentServer(script, announcements);
  const { stream, lines } = open(server.port);
  cleanUps.push(server.stop, stream.stop);
  const down = (count = 1): Promise<Record<string, unknown>[]> =>
    waitUntil(
      () => {
        const lost = lines.filter(({ msg }) => msg === 'component stream down');
        return lost.length >= count ? lost : undefined;
      },
      { label: `"component stream down", ${count} times` },
    );
  return { server, stream, lines, down };
}

const domainOf = (address = ''): string => address.replace(/^.*@/, '');

test('it is ready once every domain has proved itself', async () => {
  let letGo: (() => void) | undefined;
  const { stream, lines } = await connect((received, kind, peer) => {
    const isLast = kind === 'probe' && domainOf(received.root.attributes['from']) === 'example.net';
    if (isLast) letGo = () => answerHonestly(received, kind, peer);
    else answerHonestly(received, kind, peer);
  });
  expect(stream.readiness()).toEqual({
    ready: false,
    reason: 'the component stream is being opened',
  });
  const answer = await waitUntil(() => letGo, { label: 'the last probe' });
  expect(stream.readiness().ready).toBe(false);
  answer();
  await waitUntil(() => stream.readiness().ready, { label: 'a ready stream' });
  expect(lines).toMatchObject([
    {
      level: 30,
      component: 'gateway.example.org',
      domains: { 'example.org': { mode: 'plain' }, 'example.net': { mode: 'plain' } },
    },
  ]);
});

test('what is announced with the handshake is read, and proves nothing', async () => {
  const announced = ['example.org', 'example.net'].map(privilegeOf);
  const answers: (() => void)[] = [];
  const { stream } = await connect((received, kind, peer) => {
    answers.push(() => answerHonestly(received, kind, peer));
  }, announced.join(''));
  await waitUntil(() => answers.length === 8, { label: 'all that a stream asks' });
  expect(stream.readiness().ready).toBe(false);
  for (const answer of answers) answer();
  await waitUntil(() => stream.readiness().ready, { label: 'readiness' });
  expect(stream.readiness()).toMatchObject({
    domains: { 'example.org': { mode: 'privileged' }, 'example.net': { mode: 'privileged' } },
  });
});

function privilegeOf(domain: string): string {
  return `<message from='${domain}' to='gateway.example.org'><privilege xmlns='urn:xmpp:privilege:2'><perm access='message' type='outgoing'/></privilege></message>`;
}

/** Answers like ejabberd, which announces privileges from a separate process. */
function answerAsEjabberd(stanza: Stanza, kind: StanzaKind, peer: ComponentPeer): void {
  if (kind === 'ping') refuse(stanza, peer);
  else answerHonestly(stanza, kind, peer);
}

function refuse({ root }: Stanza, peer: ComponentPeer): void {
  const { id, from, to } = root.attributes;
  peer.send(`<iq type='error' id='${id}' from='${to}' to='${from}'>${itemNotFound}</iq>`);
}

const itemNotFound = `<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

test('a privilege that is announced after the answers is waited for', async () => {
  const { stream } = await connect((received, kind, peer) => {
    answerAsEjabberd(received, kind, peer);
    const { from } = received.root.attributes;
    if (kind === 'probe') peer.send(privilegeOf(domainOf(from)));
  });
  await waitUntil(() => stream.readiness().ready, { label: 'readiness' });
  expect(stream.readiness()).toMatchObject({
    domains: { 'example.org': { mode: 'privileged' }, 'example.net': { mode: 'privileged' } },
  });
});

test('a privilege that is announced even later is read', async () => {
  let peer: ComponentPeer | undefined;
  const { stream, lines } = await connect((received, kind, from) => {
    peer = from;
    answerAsEjabberd(received, kind, from);
  });
  await waitUntil(() => stream.readiness().ready, { label: 'readiness' });
  expect(stream.formOf('example.net').mode).toBe('plain');
  peer?.send(privilegeOf('mallory.example'));
  peer?.send(privilegeOf('example.net'));
  await waitUntil(() => stream.formOf('example.net').mode === 'privileged', { label: 'the mode' });
  expect(stream.readiness()).toMatchObject({
    domains: { 'example.org': { mode: 'plain' }, 'example.net': { mode: 'privileged' } },
  });
  expect(lines.filter(({ msg }) => msg === 'mode changed')).toMatchObject([
    { level: 40, domain: 'example.net', before: 'plain', now: 'privileged' },
  ]);
});

function isModuleQuestion({ root }: Stanza, domain: string): boolean {
  const { id = '', to } = root.attributes;
  return id.startsWith('module-') && to === domain;
}

/** Answers the question for the module as the module does. */
function answerAsModule({ root }: Stanza, peer: ComponentPeer, features = ''): void {
  const { id, from, to } = root.attributes;
  peer.send(
    `<iq type='result' id='${id}' from='${to}' to='${from}'><gateway xmlns='urn:xmpp-message-gateway:0' version='1'>${features}</gateway></iq>`,
  );
}

test('a module that is loaded later is found, and set up anew, too', async () => {
  let isLoaded = false;
  let features = '';
  let asked = 0;
  const { stream, lines } = await connect((received, kind, peer) => {
    const isAsked = isModuleQuestion(received, 'example.net');
    if (isAsked) asked += 1;
    if (isAsked && isLoaded) answerAsModule(received, peer, features);
    else answerHonestly(received, kind, peer);
  });
  await waitUntil(() => stream.readiness().ready, { label: 'readiness' });
  stream.lookForModules();
  await waitUntil(() => asked === 2, { label: 'the question without an answer' });
  expect(stream.formOf('example.net').mode).toBe('plain');
  isLoaded = true;
  stream.lookForModules();
  await waitUntil(() => stream.formOf('example.net').mode === 'client', { label: 'the mode' });
  expect(stream.readiness()).toMatchObject({
    domains: { 'example.org': { mode: 'plain' }, 'example.net': { mode: 'client' } },
  });
  expect(lines.filter(({ msg }) => msg === 'mode changed')).toMatchObject([
    { level: 40, domain: 'example.net', before: 'plain', now: 'client' },
  ]);
  const receives = (): boolean => {
    const form = stream.formOf('example.net');
    return form.mode === 'client' && form.returnsReceipts;
  };
  expect(receives()).toBe(false);
  features = '<receipts/>';
  stream.lookForModules();
  await waitUntil(receives, { label: 'the receipts' });
});

test('a module that is gone ends the stream, even if it would be back for the next barrier', async () => {
  let isLoaded = true;
  const { stream, down } = await connect((received, kind, peer) => {
    if (!isModuleQuestion(received, 'example.net')) answerHonestly(received, kind, peer);
    else if (isLoaded) answerAsModule(received, peer);
    else refuse(received, peer);
  });
  await waitUntil(() => stream.readiness().ready, { label: 'readiness' });
  expect(stream.formOf('example.net').mode).toBe('client');
  isLoaded = false;
  stream.lookForModules();
  expect(await down()).toMatchObject([{ reason: expect.stringContaining('was unloaded') }]);
});

const notHosted =
  'the domain example.org answered a ping with an error: the XMPP server does not host it';

test.each(['remote-server-not-found', 'remote-server-timeout', 'not-allowed', 'forbidden'])(
  'a domain that the server does not host is recognised by %s',
  async (condition) => {
    const { down } = await connect((received, kind, peer) => {
      const { id, from, to } = received.root.attributes;
      const error = itemNotFound.replace('item-not-found', condition);
      if (kind !== 'ping') answerHonestly(received, kind, peer);
      else peer.send(`<iq type='error' id='${id}' from='${to}' to='${from}'>${error}</iq>`);
    });
    const [line] = await down();
    expect(line?.['reason']).toBe(notHosted);
  },
);

test('a domain for which a foreign server answers, necessarily late, is not hosted', async () => {
  let ping: (() => void) | undefined;
  const { down } = await connect((received, kind, peer) => {
    const answer = (): void => answerHonestly(received, kind, peer);
    if (kind === 'ping' && received.root.attributes['to'] === 'example.org/gateway') ping = answer;
    else answer();
    if (kind === 'probe') ping?.();
  });
  const [line] = await down();
  expect(line?.['reason']).toBe(notHosted);
});

test('a probe that went to another connection is reported as such', async () => {
  // ejabberd sends each stanza to any one connection of the component domain.
  const { stream, down } = await connect((received, kind, peer) => {
    const isTaken =
      kind === 'probe' && domainOf(received.root.attributes['from']) === 'example.net';
    if (!isTaken) answerHonestly(received, kind, peer);
  });
  const [line] = await down();
  expect(line?.['reason']).toBe(
    "a probe from example.net to the component did not come back within 3000 ms: another connection gets the component's stanzas, or the XMPP server is slow",
  );
  expect(line?.['advice']).toMatch(
    /^Make sure that nothing else is connected as gateway\.example\.org, and that on ejabberd no other component uses the listener/,
  );
  expect(stream.readiness()).toEqual({ ready: false, reason: line?.['reason'] });
});

test('a ping without an answer is reported with its domain', async () => {
  const { down } = await connect((received, kind, peer) => {
    const isOther = received.root.attributes['to'] === 'example.net/gateway';
    if (!isOther) answerHonestly(received, kind, peer);
  });
  const [line] = await down();
  expect(line?.['reason']).toMatch(
    /^the domain example\.net did not answer a ping within 3000 ms:/,
  );
  expect(line?.['advice']).toMatch(
    /^Make sure that the server hosts example\.net and answers pings there/,
  );
});

test('a reason is logged once, until another one comes', async () => {
  let isHosted = false;
  const { server, down } = await connect((received, kind, peer) => {
    if (kind === 'ping' && !isHosted) peer.reset();
    else answerHonestly(received, kind, peer);
  });
  const lost = await down(3);
  expect(lost.slice(0, 3).map(({ level }) => level)).toEqual([40, 20, 20]);
  expect(new Set(lost.map(({ reason }) => reason)).size).toBe(1);
  isHosted = true;
  await waitUntil(() => server.handshakes > 3, { label: 'another handshake' });
});

test('a stream that was ready says so when it is lost, and comes back', async () => {
  let reset = (): void => {};
  const { server, stream, down, lines } = await connect((received, kind, peer) => {
    reset = peer.reset;
    answerHonestly(received, kind, peer);
  });
  await waitUntil(() => stream.readiness().ready, { label: 'a ready stream' });
  reset();
  const [line] = await down();
  expect(line).toMatchObject({
    level: 40,
    reason: expect.stringMatching(/^the component stream was lost: ./),
  });
  await waitUntil(() => stream.readiness().ready && server.handshakes === 2, {
    label: 'a second stream',
  });
  expect(lines.map(({ msg }) => msg)).toEqual([
    'component stream ready',
    'component stream down',
    'component stream ready',
  ]);
});

test('a stopped stream stays closed', async () => {
  const { server, stream, lines } = await connect(answerHonestly);
  await waitUntil(() => stream.readiness().ready, { label: 'a ready stream' });
  await stream.stop();
  expect(stream.readiness().ready).toBe(false);
  expect(server.handshakes).toBe(1);
  expect(lines.map(({ msg }) => msg)).toEqual(['component stream ready']);
});

test.each([
  ['stream header', '', '<stream:stream '],
  [
    'handshake',
    "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='gateway.example.org'>",
    '</handshake>',
  ],
])('stopped while its %s is unanswered, it just hangs up', async (_, answer, expected) => {
  let received = '';
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      received += String(chunk);
    });
    socket.write(answer);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { stream, lines } = open((server.address() as AddressInfo).port);
  await waitUntil(() => received.includes(expected), { label: expected });
  await stream.stop();
  server.close();
  await once(server, 'close');
  expect(received).not.toContain('</stream:stream>');
  expect(lines).toEqual([]);
});
