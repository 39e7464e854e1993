import { parse } from 'ltx';
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import type { Stanza as OutgoingStanza } from '../../../../src/core/message/message.ts';
import { describeForm, type WireForm } from '../../../../src/core/message/mode.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { Delivery, type DeliveryOptions } from '../../../../src/xmpp/delivery/delivery.ts';
import { StanzaSizes } from '../../../../src/xmpp/delivery/stanza-sizes.ts';
import type { ComponentConnection } from '../../../../src/xmpp/stream/connection.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';
import { createComponentStream } from '../../../../src/xmpp/stream/supervisor.ts';
import type { DomainModes } from '../../../../src/xmpp/stream/trust-proof.ts';
import type { Stanza } from '../../../support/clients/stanza.ts';
import {
  answerHonestly,
  type ComponentPeer,
  startComponentServer,
} from '../../../support/doubles/component-server.ts';
import { waitUntil } from '../../../support/system/wait.ts';

type Script = Parameters<typeof startComponentServer>[0];

const deliveryOptions: Omit<DeliveryOptions, 'stream'> = {
  componentDomain: 'gateway.example.org',
  confirmTimeoutMs: 5000,
  silenceTimeoutMs: 5000,
  maxInFlight: 1000,
  maxInFlightBytes: 1_000_000,
  sizes: new StanzaSizes(262_144, pino({ level: 'silent' })),
};

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

async function connect(script: Script, overrides: Partial<DeliveryOptions> = {}) {
  const server = await startComponentServer(script);
  const handle = new StreamHandle();
  const delivery = new Delivery({ stream: handle, ...deliveryOptions, ...overrides });
  handle.route({
    bounce: [(received) => delivery.takeBounce(received)],
    message: [],
    presence: [],
  });
  const stream = createComponentStream({
    address: {
      host: '127.0.0.1',
      port: server.port,
      domain: 'gateway.example.org',
      secret: new Secret('secret'),
    },
    served: { domains: ['example.org'], mode: 'auto' },
    log: pino({ enabled: false }),
    events: {
      onReady: (connection, modes) => {
        handle.attach(connection);
        delivery.handleReady(modes);
      },
      onStanza: (received) => handle.receive(received),
      onDrain: () => delivery.handleDrain(),
      onClose: (failure) => {
        handle.detach();
        delivery.handleClose(failure);
      },
    },
  });
  stream.start();
  cleanUps.push(server.stop, stream.stop);
  await waitUntil(() => stream.readiness().ready, { label: 'a ready stream' });
  return { server, delivery, stream };
}

function stanza(id: string, to = 'bob@example.org', caller = 'user alice'): OutgoingStanza {
  const xml = `<message id='${id}' from='alice@example.org' to='${to}'><body>hi</body></message>`;
  return {
    id,
    caller,
    from: parseJid('alice@example.org'),
    to: parseJid(to),
    xml,
    bytes: Buffer.byteLength(xml),
    heldBytes: Buffer.byteLength(xml),
    isWrapped: false,
    isGroupchat: false,
  };
}

function bounceOf(
  { root }: { readonly root: Pick<Stanza['root'], 'attributes'> },
  condition = 'service-unavailable',
): string {
  const { id, from, to } = root.attributes;
  return `<message type='error' id='${id}' from='${to}' to='${from}'><error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>gone away</text></error></message>`;
}

function modesOf(form: WireForm, domains = ['example.org']): DomainModes {
  return new Map(domains.map((domain) => [domain, { form, report: describeForm(form, true) }]));
}

/** Answers probes and pings, and holds the answers to barriers back until `release`. */
function holdBarriers() {
  const held: (() => void)[] = [];
  const messages: Stanza[] = [];
  let peer: ComponentPeer | undefined;
  const script: Script = (received, kind, from) => {
    peer = from;
    if (kind === 'message') messages.push(received);
    if (kind === 'barrier') held.push(() => answerHonestly(received, kind, from));
    else answerHonestly(received, kind, from);
  };
  const release = (): void => {
    for (const answer of held.splice(0)) answer();
  };
  return { script, held, messages, release, peer: (): ComponentPeer => peer! };
}

const outcome = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'confirmed',
    (error: { code?: string }) => error.code ?? 'another error',
  );

describe('a message', () => {
  test('is confirmed by the answer to its barrier, and by nothing else', async () => {
    const server = holdBarriers();
    const { delivery } = await connect(server.script);
    let isSettled = false;
    const delivered = delivery.deliver(stanza('1')).finally(() => {
      isSettled = true;
    });
    await waitUntil(() => server.held.length === 1, { label: 'the barrier' });
    expect(server.messages).toHaveLength(1);
    const id = 'barrier-guessed';
    server
      .peer()
      .send(`<iq type='result' id='${id}' from='example.org/gateway' to='gateway.example.org'/>`);
    // The barrier of the next message shows that the forged answer has been read.
    const next = delivery.deliver(stanza('2'));
    await waitUntil(() => server.held.length === 2, { label: 'the second barrier' });
    expect(isSettled).toBe(false);
    server.release();
    await delivered;
    await next;
  });

  test('is also confirmed when the answer to its barrier is an error', async () => {
    const { delivery } = await connect((received, kind, peer) => {
      const { id, from, to } = received.root.attributes;
      if (kind === 'barrier') peer.send(`<iq type='error' id='${id}' from='${to}' to='${from}'/>`);
      else answerHonestly(received, kind, peer);
    });
    await expect(delivery.deliver(stanza('1'))).resolves.toBeUndefined();
  });

  test('is not confirmed by an answer from elsewhere', async () => {
    const { delivery, server } = await connect(
      (received, kind, peer) => {
        const { id, from } = received.root.attributes;
        if (kind === 'barrier') {
          peer.send(`<iq type='result' id='${id}' from='evil.example' to='${from}'/>`);
        } else answerHonestly(received, kind, peer);
      },
      { confirmTimeoutMs: 200 },
    );
    expect(await outcome(delivery.deliver(stanza('1')))).toBe('delivery-unknown');
    expect(server.handshakes).toBe(1);
  });

  test('shares a barrier with those written at the same time', async () => {
    let barriers = 0;
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'barrier') barriers += 1;
      answerHonestly(received, kind, peer);
    });
    await Promise.all(Array.from({ length: 500 }, (_, i) => delivery.deliver(stanza(`${i}`))));
    expect(barriers).toBeLessThan(100);
  });
});

describe('with the module', () => {
  const withModule = (
    stanzaOf: (id: string, from: string, to: string) => string,
  ): { script: Script; questions: Stanza[] } => {
    const questions: Stanza[] = [];
    const script: Script = (received, kind, peer) => {
      const { id = '', from = '', to = '' } = received.root.attributes;
      if (kind === 'barrier') {
        questions.push(received);
        peer.send(stanzaOf(id, to, from));
      } else if (kind === 'feature' && received.root.name === 'iq') {
        peer.send(answer(id, to, from));
      } else answerHonestly(received, kind, peer);
    };
    return { script, questions };
  };
  const answer = (id: string, from: string, to: string): string =>
    `<iq type='result' id='${id}' from='${from}' to='${to}'><gateway xmlns='urn:xmpp-message-gateway:0' version='1'/></iq>`;

  test('its question is the barrier', async () => {
    const { script, questions } = withModule(answer);
    const { delivery } = await connect(script);
    await delivery.deliver(stanza('1'));
    expect(questions).toHaveLength(1);
    expect(questions[0]?.root.attributes['to']).toBe('example.org');
    expect(questions[0]?.xml).toContain("<gateway xmlns='urn:xmpp-message-gateway:0'");
  });

  test.each([
    ['an error', 'error', ''],
    ['an empty result', 'result', ''],
    ['another version', 'result', "<gateway xmlns='urn:xmpp-message-gateway:0' version='2'/>"],
  ])('%s instead of its answer confirms nothing, and ends the stream', async (_, type, payload) => {
    let isLoaded = true;
    const { script } = withModule((id, from, to) =>
      isLoaded
        ? answer(id, from, to)
        : `<iq type='${type}' id='${id}' from='${from}' to='${to}'>${payload}</iq>`,
    );
    const { delivery, server } = await connect(script);
    await delivery.deliver(stanza('1'));
    isLoaded = false;
    await expect(delivery.deliver(stanza('2'))).rejects.toMatchObject({
      code: 'delivery-unknown',
      message: expect.stringContaining('mod_message_gateway does not answer any more'),
    });
    await waitUntil(() => server.handshakes === 2, { label: 'a second handshake' });
  });
});

test('a domain that is not hosted any more confirms nothing', async () => {
  let isHosted = true;
  const { delivery } = await connect((received, kind, peer) => {
    const { id, from, to } = received.root.attributes;
    if (kind !== 'barrier' || isHosted) answerHonestly(received, kind, peer);
    else
      peer.send(
        `<iq type='error' id='${id}' from='${to}' to='${from}'><error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
      );
  });
  await delivery.deliver(stanza('1'));
  isHosted = false;
  await expect(delivery.deliver(stanza('2'))).rejects.toMatchObject({
    code: 'delivery-unknown',
    message: expect.stringContaining('the domain example.org answered a ping with an error'),
  });
});

describe('a bounce', () => {
  test('is the fate of its message and of no other', async () => {
    const { delivery } = await connect((received, kind, peer) => {
      if (received.root.attributes['id'] === '2') peer.send(bounceOf(received));
      else answerHonestly(received, kind, peer);
    });
    const outcomes = ['1', '2', '3'].map((id) => outcome(delivery.deliver(stanza(id))));
    expect(await Promise.all(outcomes)).toEqual(['confirmed', 'bounced', 'confirmed']);
  });

  test('carries condition, type and text', async () => {
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'message') peer.send(bounceOf(received, 'forbidden'));
      else answerHonestly(received, kind, peer);
    });
    await expect(delivery.deliver(stanza('1'))).rejects.toMatchObject({
      options: { stanzaError: { condition: 'forbidden', type: 'cancel', text: 'gone away' } },
    });
  });

  test.each([
    ['from another address', (xml: string) => xml.replace("from='bob@", "from='mallory@")],
    ['to another address', (xml: string) => xml.replace("to='alice@", "to='mallory@")],
    ['with another id', (xml: string) => xml.replace("id='1'", "id='2'")],
    ['without type error', (xml: string) => xml.replace("type='error'", "type='chat'")],
  ])('%s is not believed', async (_, forge) => {
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'message') peer.send(forge(bounceOf(received)));
      answerHonestly(received, kind, peer);
    });
    expect(await outcome(delivery.deliver(stanza('1')))).toBe('confirmed');
  });

  test.each([
    ['of the wrapper', true, 'example.org', 'gateway.example.org', 'bounced'],
    [
      'of the wrapper from another domain',
      true,
      'evil.example',
      'gateway.example.org',
      'confirmed',
    ],
    [
      'of the wrapper, addressed to somebody else',
      true,
      'example.org',
      'mallory@example.org',
      'confirmed',
    ],
    [
      'of a wrapper, for a message without one',
      false,
      'example.org',
      'gateway.example.org',
      'confirmed',
    ],
  ])('%s', async (_, isWrapped, from, to, fate) => {
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'message') {
        peer.send(
          `<message type='error' id='1' from='${from}' to='${to}'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
        );
      } else answerHonestly(received, kind, peer);
    });
    expect(await outcome(delivery.deliver({ ...stanza('1'), isWrapped }))).toBe(fate);
  });

  test('settles the oldest of several equal messages', async () => {
    let messages = 0;
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'message' && (messages += 1) === 1) peer.send(bounceOf(received));
      answerHonestly(received, kind, peer);
    });
    const outcomes = [1, 2, 3].map(() => outcome(delivery.deliver(stanza('same'))));
    expect(await Promise.all(outcomes)).toEqual(['bounced', 'confirmed', 'confirmed']);
  });

  test('is matched by prepared addresses', async () => {
    const { delivery } = await connect((received, kind, peer) => {
      if (kind === 'message') peer.send(bounceOf(received).replace('ＲＥＳ', 'RES'));
      else answerHonestly(received, kind, peer);
    });
    expect(await outcome(delivery.deliver(stanza('1', 'bob@example.org/ＲＥＳ')))).toBe('bounced');
  });
});

describe('when the stream', () => {
  test('is lost, what was written is unknown and the rest is refused', async () => {
    const { delivery, server } = await connect((received, kind, peer) => {
      if (kind === 'message') peer.reset();
      else answerHonestly(received, kind, peer);
    });
    expect(await outcome(delivery.deliver(stanza('1')))).toBe('delivery-unknown');
    expect(await outcome(delivery.deliver(stanza('2')))).toBe('xmpp-unavailable');
    await waitUntil(() => server.handshakes === 2, { label: 'a second handshake' });
  });

  test('is silent, it is replaced', async () => {
    const { delivery, server } = await connect(
      (received, kind, peer) => {
        if (kind === 'probe' || kind === 'ping') answerHonestly(received, kind, peer);
      },
      { silenceTimeoutMs: 200 },
    );
    expect(await outcome(delivery.deliver(stanza('1')))).toBe('delivery-unknown');
    await waitUntil(() => server.handshakes >= 2, { label: 'a second handshake' });
  });

  test('is idle, a barrier keeps it alive', async () => {
    let barriers = 0;
    await connect(
      (received, kind, peer) => {
        if (kind === 'barrier') barriers += 1;
        answerHonestly(received, kind, peer);
      },
      { silenceTimeoutMs: 100 },
    );
    await waitUntil(() => barriers >= 2, { label: 'two barriers' });
  });

  test('has many messages unanswered, callers are served in turns', async () => {
    const server = holdBarriers();
    const { delivery } = await connect(server.script);
    const deliver = (id: string, caller: string): Promise<string> =>
      outcome(delivery.deliver(stanza(id, 'bob@example.org', caller)));
    const flood = Array.from({ length: 300 }, (_, id) => deliver(`flood-${id}`, 'flooder'));
    const quiet = deliver('quiet', 'quiet');
    await waitUntil(() => server.messages.length === 64, { label: 'the first messages' });
    const releaseAll = (): boolean => {
      server.release();
      return server.messages.length === 301 && server.held.length === 0;
    };
    await waitUntil(releaseAll, { label: 'all messages' });
    expect(await quiet).toBe('confirmed');
    const order = server.messages.map(({ root }) => root.attributes['id']);
    expect(order.indexOf('quiet')).toBeLessThan(64 + 2);
    expect(new Set(await Promise.all(flood))).toEqual(new Set(['confirmed']));
  });

  test('is full, the caller with the most waiting messages gives way', async () => {
    const server = holdBarriers();
    const { delivery } = await connect(server.script, { maxInFlight: 4 });
    const deliver = (id: string, caller: string): Promise<string> =>
      outcome(delivery.deliver(stanza(id, 'bob@example.org', caller)));
    const flood = ['1', '2', '3', '4', '5'].map((id) => deliver(id, 'flooder'));
    const quiet = deliver('quiet', 'quiet');
    expect(await flood[4]).toBe('overloaded');
    expect(await flood[3]).toBe('overloaded');
    await waitUntil(() => server.messages.length === 4, { label: 'four messages' });
    server.release();
    expect(await Promise.all([...flood.slice(0, 3), quiet])).toEqual(Array(4).fill('confirmed'));
  });

  test('is full, messages are refused before anything is written', async () => {
    const server = holdBarriers();
    const { delivery } = await connect(server.script, { maxInFlight: 2 });
    const first = ['1', '2'].map((id) => outcome(delivery.deliver(stanza(id))));
    expect(await outcome(delivery.deliver(stanza('3')))).toBe('overloaded');
    await waitUntil(() => server.messages.length === 2, { label: 'two messages' });
    server.release();
    expect(await Promise.all(first)).toEqual(['confirmed', 'confirmed']);
  });

  test('is full of bytes, messages are refused', async () => {
    const server = holdBarriers();
    const { delivery } = await connect(server.script, { maxInFlightBytes: 200 });
    const first = outcome(delivery.deliver(stanza('1')));
    const [second, third] = [stanza('2'), stanza('3')].map((it) => outcome(delivery.deliver(it)));
    expect(await third).toBe('overloaded');
    await waitUntil(() => server.messages.length === 2, { label: 'two messages' });
    server.release();
    expect([await first, await second]).toEqual(['confirmed', 'confirmed']);
  });
});

test('a request from a stranger is answered without an echo of its payload', async () => {
  const answers: Stanza[] = [];
  const { delivery } = await connect((received, kind, peer) => {
    if (kind === 'message') {
      peer.send(
        "<iq type='get' id='&lt;1&gt;' xmlns:p='urn:x' from='mallory@example.org/x' to='gateway.example.org'><p:query/></iq>",
      );
    }
    if (kind === 'other') answers.push(received);
    else answerHonestly(received, kind, peer);
  });
  await delivery.deliver(stanza('1'));
  await waitUntil(() => answers.length === 1, { label: 'the answer' });
  expect(answers[0]?.xml).toBe(
    "<iq type='error' id='&lt;1&gt;' from='gateway.example.org' to='mallory@example.org/x'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
  );
});

describe('with a faked clock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** A delivery on a fake connection: the test answers each barrier and moves the clock. */
  function attach(overrides: Partial<DeliveryOptions>, domains?: string[]) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setImmediate', 'performance'] });
    const stream = new StreamHandle();
    const delivery = new Delivery({ stream, ...deliveryOptions, ...overrides });
    const barriers: string[] = [];
    const messages: string[] = [];
    const failures: string[] = [];
    const connection: ComponentConnection = {
      write: (xml) => {
        for (const [, id = ''] of xml.matchAll(/<message [^>]*id='([^']+)'/g)) messages.push(id);
        for (const [, id = ''] of xml.matchAll(/<iq [^>]*id='([^']+)'/g)) barriers.push(id);
      },
      isBlocked: () => false,
      close: async () => {},
      destroy: (failure) => {
        failures.push(failure.reason);
        stream.detach();
        delivery.handleClose(failure);
      },
    };
    stream.attach(connection);
    delivery.handleReady(modesOf({ mode: 'plain' }, domains));
    const hear = (xml: string): void => stream.receive(parse(xml));
    const answerOldest = (): void => {
      hear(
        `<iq type='result' id='${barriers.shift()}' from='example.org/gateway' to='gateway.example.org'/>`,
      );
    };
    const deliver = (message: OutgoingStanza): string[] => {
      const fates: string[] = [];
      void outcome(delivery.deliver(message)).then((fate) => fates.push(fate));
      return fates;
    };
    return { delivery, deliver, hear, answerOldest, barriers, messages, failures };
  }

  test('callers wait no longer than their deadline for a slow server', async () => {
    const { deliver, answerOldest } = attach({ confirmTimeoutMs: 2000 });
    const first = deliver(stanza('1'));
    await vi.advanceTimersByTimeAsync(3000);
    expect(first).toEqual(['delivery-unknown']);
    answerOldest();
    const next = deliver(stanza('2'));
    await vi.advanceTimersByTimeAsync(0);
    answerOldest();
    await vi.advanceTimersByTimeAsync(0);
    expect(next).toEqual(['confirmed']);
  });

  test('the first of many messages are written at once, the others with fewer barriers', () => {
    const { deliver, answerOldest, barriers, messages } = attach({});
    for (let id = 0; id < 120; id += 1) deliver(stanza(`${id}`));
    expect([messages.length, barriers.length]).toEqual([64, 4]);
    answerOldest();
    expect([messages.length, barriers.length]).toEqual([64 + 32, 4]);
  });

  test('what a message takes in memory counts, but a single one always fits', async () => {
    const { deliver } = attach({ maxInFlightBytes: 1000 });
    const first = deliver({ ...stanza('1'), heldBytes: 2000 });
    const second = deliver({ ...stanza('2'), heldBytes: 1 });
    await vi.advanceTimersByTimeAsync(0);
    expect([first, second]).toEqual([[], ['overloaded']]);
  });

  test('while the server has many bytes unanswered, no more is written', async () => {
    const { deliver, answerOldest, barriers, messages } = attach({
      maxInFlightBytes: 10_000_000,
      confirmTimeoutMs: 2000,
    });
    const deliverLarge = (id: string): string[] => {
      const small = stanza(id);
      const xml = small.xml.replace('hi', 'x'.repeat(60_000));
      return deliver({ ...small, xml, bytes: xml.length });
    };
    const fates = Array.from({ length: 12 }, (_, id) => deliverLarge(`${id}`));
    await vi.advanceTimersByTimeAsync(3000);
    expect(fates.flat()).toEqual([
      ...Array(5).fill('delivery-unknown'),
      ...Array(7).fill('xmpp-unavailable'),
    ]);
    expect(messages).toHaveLength(5);
    while (barriers.length > 0) answerOldest();
    const next = deliverLarge('next');
    await vi.advanceTimersByTimeAsync(0);
    expect(messages).toHaveLength(6);
    answerOldest();
    await vi.advanceTimersByTimeAsync(0);
    expect(next).toEqual(['confirmed']);
  });

  test('a bounce that comes after its caller got 504 is not the fate of the next equal message', async () => {
    const { deliver, hear, answerOldest, barriers, messages } = attach({ confirmTimeoutMs: 2000 });
    const first = deliver(stanza('same'));
    await vi.advanceTimersByTimeAsync(3000);
    expect(first).toEqual(['delivery-unknown']);
    const second = deliver(stanza('same'));
    await vi.advanceTimersByTimeAsync(0);
    expect(messages).toEqual(['same', 'same']);
    const attributes = { id: 'same', from: 'alice@example.org', to: 'bob@example.org' };
    hear(bounceOf({ root: { attributes } }));
    while (barriers.length > 0) answerOldest();
    await vi.advanceTimersByTimeAsync(0);
    expect(second).toEqual(['confirmed']);
  });

  test('a caller is answered at its deadline, even if a younger message was written first', async () => {
    const { delivery, answerOldest } = attach({ confirmTimeoutMs: 2000 });
    const settled: string[] = [];
    const post = (id: string, caller: string): void => {
      void outcome(delivery.deliver(stanza(id, undefined, caller))).then(() => settled.push(id));
    };
    for (let count = 0; count < 66; count += 1) post(`early ${count}`, 'user a');
    await vi.advanceTimersByTimeAsync(1000);
    post('late', 'user b');
    answerOldest();
    await vi.advanceTimersByTimeAsync(1400);
    expect(settled).toHaveLength(66);
    expect(settled).not.toContain('late');
    await vi.advanceTimersByTimeAsync(1000);
    expect(settled.at(-1)).toBe('late');
  });

  test('a stream that loses barriers is replaced, even if other stanzas come in', async () => {
    const { delivery, hear, answerOldest, failures } = attach({ silenceTimeoutMs: 3000 });
    const settled: string[] = [];
    const passASecond = async (): Promise<void> => {
      void outcome(delivery.deliver(stanza('1'))).then((fate) => settled.push(fate));
      await vi.advanceTimersByTimeAsync(1000);
      hear(`<message from='rooms.example.org/x' to='gateway.example.org'/>`);
    };
    for (let second = 0; second < 8; second += 1) {
      await passASecond();
      if (second < 4) answerOldest();
    }
    expect(failures).toEqual([]);
    await passASecond();
    await passASecond();
    expect(failures).toEqual(['the XMPP server answered no ping for 5000 ms']);
    expect(settled.slice(0, 5)).toEqual([...Array(4).fill('confirmed'), 'delivery-unknown']);
  });

  test('the answer of one domain confirms no message of another', async () => {
    const { delivery, hear, barriers } = attach({}, ['example.org', 'example.net']);
    const fates: string[] = [];
    for (const domain of ['example.org', 'example.net']) {
      const from = parseJid(`alice@${domain}`);
      void outcome(delivery.deliver({ ...stanza(domain), from })).then((fate) =>
        fates.push(`${domain} ${fate}`),
      );
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(barriers).toHaveLength(2);
    hear(
      `<iq type='result' id='${barriers[1]}' from='example.org/gateway' to='gateway.example.org'/>`,
    );
    hear(
      `<iq type='result' id='${barriers[1]}' from='example.net/gateway' to='gateway.example.org'/>`,
    );
    await vi.advanceTimersByTimeAsync(0);
    expect(fates).toEqual(['example.net confirmed']);
  });

  test('a domain without senders is asked as well', async () => {
    const { barriers } = attach({ silenceTimeoutMs: 3000 }, ['example.org', 'example.net']);
    await vi.advanceTimersByTimeAsync(3000);
    expect(barriers).toHaveLength(2);
  });

  test('a stream with slow barriers is kept', async () => {
    const { delivery, answerOldest, failures } = attach({});
    for (let id = 0; id < 64; id += 1) void outcome(delivery.deliver(stanza(`${id}`)));
    for (let barrier = 0; barrier < 4; barrier += 1) {
      await vi.advanceTimersByTimeAsync(2000);
      answerOldest();
    }
    expect(failures).toEqual([]);
    expect(delivery.inFlight().count).toBe(0);
  });
});
