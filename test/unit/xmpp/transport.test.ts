import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { parseJid } from '../../../src/core/jid/jid.ts';
import type { Message } from '../../../src/core/message/message.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { Served } from '../../../src/xmpp/stream/trust-proof.ts';
import { createTransport } from '../../../src/xmpp/transport.ts';
import { find, type Stanza } from '../../support/clients/stanza.ts';
import {
  answerHonestly,
  type ComponentPeer,
  startComponentServer,
} from '../../support/doubles/component-server.ts';
import { waitUntil } from '../../support/system/wait.ts';
import { context } from '../core/message-context.ts';

type Script = Parameters<typeof startComponentServer>[0];

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

interface ConnectOptions {
  readonly mode?: Served['mode'];
  readonly remoteConfirmMs?: number;
  readonly hasModule?: boolean;
}

/** A transport to a server that follows a script; the module is there by default. */
async function connect(
  script: Script,
  { mode = 'auto', remoteConfirmMs = 5000, hasModule = true }: ConnectOptions = {},
) {
  const server = await startComponentServer((stanza, kind, peer) => {
    if (hasModule && kind === 'feature') announce(stanza, peer);
    script(stanza, kind, peer);
  });
  const logLines: Readonly<Record<string, unknown>>[] = [];
  const log = pino({}, { write: (line) => void logLines.push(JSON.parse(line)) });
  const transport = createTransport({
    component: {
      host: '127.0.0.1',
      port: server.port,
      domain: 'gateway.example.org',
      secret: new Secret('secret'),
    },
    domains: ['example.org'],
    mode,
    limits: { ...context.limits, stanzaBytes: 10_000 },
    delivery: {
      confirmTimeoutMs: 5000,
      silenceTimeoutMs: 5000,
      maxInFlight: 10,
      maxInFlightBytes: 100_000,
      remoteConfirmMs,
    },
    rooms: { idleMs: 60_000, passwords: {} },
    log,
    observer: {
      onStream: () => {},
      onBarrier: () => {},
      onLateBounce: () => {},
      onLateReceipt: () => {},
    },
  });
  transport.start();
  cleanUps.push(server.stop, transport.stop);
  return { transport, logLines };
}

async function connectReady(script: Script, options: ConnectOptions = {}) {
  const connected = await connect(script, options);
  await waitUntil(() => connected.transport.readiness().ready, { label: 'a ready stream' });
  return connected;
}

function announce({ root }: Stanza, peer: ComponentPeer): void {
  const { id, from, to } = root.attributes;
  if (root.name !== 'iq') return;
  peer.send(
    `<iq type='result' id='${id}' from='${to}' to='${from}'><gateway xmlns='urn:xmpp-message-gateway:0' version='1'/></iq>`,
  );
}

function refuse({ root }: Stanza, peer: ComponentPeer, error: string): void {
  const { id, from, to } = root.attributes;
  peer.send(`<message type='error' id='${id}' from='${to}' to='${from}'>${error}</message>`);
}

function message(to: string, id = 'm1'): Message {
  return {
    id,
    caller: 'user alice@example.org',
    from: parseJid('alice@example.org'),
    to: parseJid(to),
    type: 'chat',
    attributes: [],
    children: [],
  };
}

const notFound = `<error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

const queueFull = `<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

describe('delivery.mode', () => {
  test.each(['client', 'privileged'] as const)('%s where it is not offered', async (mode) => {
    const { transport, logLines } = await connect(answerHonestly, { mode, hasModule: false });
    await waitUntil(() => logLines.length > 0, { label: 'a line in the log' });
    const reason = `delivery.mode is ${mode}, which the XMPP server does not offer for example.org`;
    expect(transport.readiness()).toEqual({ ready: false, reason });
    expect(logLines[0]).toMatchObject({
      reason,
      advice: expect.stringContaining('modules_enabled = { "message_gateway" }'),
    });
  });

  test('plain where more is offered', async () => {
    const { transport } = await connectReady(answerHonestly, { mode: 'plain' });
    const receipt = await transport.deliver(message('bob@example.org'));
    expect(receipt).toMatchObject({ mode: 'plain', confirmed: 'server' });
    expect(receipt.from.toString()).toBe('alice@example.org');
  });
});

describe('in client mode', () => {
  test('a message is sent from a resource, one for all messages of a stream', async () => {
    const seen: (string | undefined)[] = [];
    const { transport } = await connectReady((stanza, kind, peer) => {
      if (kind === 'message') seen.push(stanza.root.attributes['from']);
      answerHonestly(stanza, kind, peer);
    });
    const receipt = await transport.deliver(message('bob@example.org'));
    await transport.deliver(message('bob@example.org'));
    expect(receipt.from.toString()).toMatch(/^alice@example\.org\/http-[\w-]{12}$/);
    expect(seen).toEqual([receipt.from.toString(), receipt.from.toString()]);
  });

  test('a refusal of the sender is not a bounce of the recipient', async () => {
    const { transport } = await connectReady((stanza, kind, peer) => {
      if (kind === 'message') {
        refuse(
          stanza,
          peer,
          `<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>never the admins</text><sender-refused xmlns='urn:xmpp-message-gateway:0' reason='no-account'/></error>`,
        );
      }
      answerHonestly(stanza, kind, peer);
    });
    await expect(transport.deliver(message('bob@example.org'))).rejects.toMatchObject({
      code: 'sender-refused',
      message: expect.stringMatching(
        /never the admins\. The name after messages\/ in the URL is that of an XMPP user/,
      ),
    });
  });
});

describe('a message for another server', () => {
  /** Answers the ping to the remote server by `answer`, everything else honestly. */
  const scriptOf =
    (answer: (stanza: Stanza, peer: ComponentPeer) => void): Script =>
    (stanza, kind, peer) => {
      if (stanza.root.attributes['id']?.startsWith('remote-')) answer(stanza, peer);
      else answerHonestly(stanza, kind, peer);
    };
  const answerPing = (
    { root }: Stanza,
    peer: ComponentPeer,
    type = 'result',
    from?: string,
    error = notFound,
  ) => {
    const { id, from: asker, to } = root.attributes;
    peer.send(
      `<iq type='${type}' id='${id}' from='${from ?? to}' to='${asker}'>${type === 'error' ? error : ''}</iq>`,
    );
  };

  test('is confirmed by that server, asked as the sender', async () => {
    const pings: Stanza[] = [];
    const script = scriptOf((stanza, peer) => {
      pings.push(stanza);
      answerPing(stanza, peer);
    });
    const { transport } = await connectReady(script);
    const receipt = await transport.deliver(message('carol@remote.example/phone'));
    expect(receipt.confirmed).toBe('remote');
    expect(pings.map(({ root }) => [root.attributes['from'], root.attributes['to']])).toEqual([
      [receipt.from.toString(), 'remote.example/gateway'],
    ]);
    expect(find(pings[0]!.root, 'ping')).toBeDefined();
  });

  test.each([
    ['nothing', () => {}],
    [
      'another address',
      (s: Stanza, p: ComponentPeer) => answerPing(s, p, 'result', 'evil.example'),
    ],
    ['our own server, on its behalf', (s: Stanza, p: ComponentPeer) => answerPing(s, p, 'error')],
    [
      'our own server, whose queue is full',
      (s: Stanza, p: ComponentPeer) => answerPing(s, p, 'error', undefined, queueFull),
    ],
  ])('is confirmed by our server only when %s answers in time', async (_, answer) => {
    const { transport } = await connectReady(scriptOf(answer), { remoteConfirmMs: 50 });
    const receipt = await transport.deliver(message('carol@remote.example'));
    expect(receipt.confirmed).toBe('server');
  });

  test('that bounces meanwhile is refused', async () => {
    const sent: Stanza[] = [];
    const { transport } = await connectReady((stanza, kind, peer) => {
      if (kind === 'message') sent.push(stanza);
      if (stanza.root.attributes['id']?.startsWith('remote-')) refuse(sent[0]!, peer, notFound);
      else answerHonestly(stanza, kind, peer);
    });
    await expect(transport.deliver(message('carol@remote.example'))).rejects.toMatchObject({
      code: 'bounced',
      options: { stanzaError: { condition: 'remote-server-not-found' } },
    });
  });

  test('that bounces in one chunk with the answer to its barrier is refused', async () => {
    const sent: Stanza[] = [];
    const { transport } = await connectReady((stanza, kind, peer) => {
      if (kind === 'message') sent.push(stanza);
      const [first] = sent;
      let chunk = '';
      const collecting: ComponentPeer = { ...peer, send: (xml) => void (chunk += xml) };
      answerHonestly(stanza, kind, collecting);
      if (kind === 'barrier' && first !== undefined) refuse(first, collecting, notFound);
      if (chunk !== '') peer.send(chunk);
    });
    await expect(transport.deliver(message('carol@remote.example'))).rejects.toMatchObject({
      code: 'bounced',
    });
  });

  test('is not confused with another that has the same id', async () => {
    const sent = new Map<string, Stanza>();
    const { transport } = await connectReady((stanza, kind, peer) => {
      const { id, to = '' } = stanza.root.attributes;
      if (kind === 'message') sent.set(to, stanza);
      if (!id?.startsWith('remote-')) answerHonestly(stanza, kind, peer);
      else if (to === 'remote.example/gateway') answerPing(stanza, peer);
      else refuse(sent.get('carol@down.example')!, peer, notFound);
    });
    const outcomes = await Promise.allSettled(
      ['carol@down.example', 'carol@remote.example'].map((to) => transport.deliver(message(to))),
    );
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'bounced' } },
      { status: 'fulfilled', value: { confirmed: 'remote' } },
    ]);
  });

  test('has its own fate, even if an earlier message has the same id', async () => {
    const sent: Stanza[] = [];
    const { transport, logLines } = await connectReady((stanza, kind, peer) => {
      if (kind === 'message') sent.push(stanza);
      if (!stanza.root.attributes['id']?.startsWith('remote-')) answerHonestly(stanza, kind, peer);
      else if (sent.length === 1) answerPing(stanza, peer);
      else refuse(sent[1]!, peer, notFound);
    });
    const first = await transport.deliver(message('carol@remote.example'));
    expect(first.confirmed).toBe('remote');
    await expect(transport.deliver(message('carol@remote.example'))).rejects.toMatchObject({
      code: 'bounced',
    });
    expect(logLines.filter(({ msg }) => msg === 'bounced after the answer')).toEqual([]);
  });

  test('waits on when an equal message after it is refused unwritten', async () => {
    const pings: [Stanza, ComponentPeer][] = [];
    const { transport } = await connectReady((stanza, kind, peer) => {
      if (stanza.root.attributes['id']?.startsWith('remote-')) pings.push([stanza, peer]);
      else if (kind !== 'barrier' || pings.length === 0) answerHonestly(stanza, kind, peer);
    });
    const first = transport.deliver(message('carol@remote.example'));
    const [ping, peer] = await waitUntil(() => pings[0], { label: 'a ping' });
    const others = Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        transport.deliver(message('bob@example.org', `other ${index}`)),
      ),
    );
    await expect(transport.deliver(message('carol@remote.example'))).rejects.toMatchObject({
      code: 'overloaded',
    });
    answerPing(ping, peer);
    expect((await first).confirmed).toBe('remote');
    peer.reset();
    await others;
  });

  test('that bounces after the answer is logged, once', async () => {
    const sent: [Stanza, ComponentPeer][] = [];
    const script: Script = (stanza, kind, peer) => {
      if (kind === 'message') sent.push([stanza, peer]);
      answerHonestly(stanza, kind, peer);
    };
    const { transport, logLines } = await connectReady(script, { remoteConfirmMs: 0 });
    const { from } = await transport.deliver(message('carol@remote.example', 'late'));
    const [stanza, peer] = sent[0]!;
    refuse(stanza, peer, notFound);
    refuse(stanza, peer, notFound);
    await transport.deliver(message('bob@example.org'));
    const logged = logLines.filter(({ msg }) => msg === 'bounced after the answer');
    expect(logged).toMatchObject([
      {
        id: 'late',
        sender: from.toString(),
        recipientDomain: 'remote.example',
        condition: 'remote-server-not-found',
      },
    ]);
  });

  test('waits no longer when the stream is lost', async () => {
    const { transport } = await connectReady(scriptOf((_, peer) => peer.reset()));
    const receipt = await transport.deliver(message('carol@remote.example'));
    expect(receipt.confirmed).toBe('server');
  });
});
