import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { createJid, type Jid, parseJid } from '../../../../src/core/jid/jid.ts';
import type { Message } from '../../../../src/core/message/message.ts';
import { describeForm } from '../../../../src/core/message/mode.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { clientNamespace, type XmlElement } from '../../../../src/core/xml/xml.ts';
import { Confirmations } from '../../../../src/xmpp/delivery/confirmation.ts';
import { Delivery } from '../../../../src/xmpp/delivery/delivery.ts';
import { StanzaSizes } from '../../../../src/xmpp/delivery/stanza-sizes.ts';
import { Rooms, type RoomsOptions } from '../../../../src/xmpp/rooms/rooms.ts';
import { routeInbound } from '../../../../src/xmpp/routing.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';
import { createComponentStream } from '../../../../src/xmpp/stream/supervisor.ts';
import type { DomainModes } from '../../../../src/xmpp/stream/trust-proof.ts';
import { find, type Stanza } from '../../../support/clients/stanza.ts';
import {
  answerHonestly,
  type ComponentPeer,
  startComponentServer,
} from '../../../support/doubles/component-server.ts';
import { waitUntil } from '../../../support/system/wait.ts';
import { context } from '../../core/message-context.ts';

const lobby = 'lobby@rooms.example';
const occupant = 'alice%example.org@gateway.example.org/gateway';
const muc = 'http://jabber.org/protocol/muc';
const info = 'http://jabber.org/protocol/disco#info';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** What a room takes a stanza for; `nobody` asks about an occupant that does not exist. */
type Step = 'query' | 'nobody' | 'join' | 'leave' | 'message' | 'other';

/** The XML that a room answers to a step; undefined means that of `answerAsRoom`. */
type Answer = (step: Step, stanza: Stanza, peer: ComponentPeer) => string | undefined;

const limits = { ...context.limits, stanzaBytes: 10_000 };

/** Rooms on a scripted server; `taken` lists everything that it received, in order. */
async function connect(answer: Answer = () => undefined, overrides: Partial<RoomsOptions> = {}) {
  const taken: { readonly step: Step; readonly stanza: Stanza }[] = [];
  let peer: ComponentPeer | undefined;
  const server = await startComponentServer((stanza, kind, from) => {
    peer = from;
    if (['probe', 'ping', 'barrier', 'feature'].includes(kind)) {
      answerHonestly(stanza, kind, from);
      return;
    }
    const step = stepOf(stanza);
    if (step !== 'nobody') taken.push({ step, stanza });
    from.send(answer(step, stanza, from) ?? answerAsRoom(step, stanza));
  });
  const log = pino({ enabled: false });
  const handle = new StreamHandle();
  const delivery = new Delivery({
    stream: handle,
    componentDomain: 'gateway.example.org',
    confirmTimeoutMs: 5000,
    silenceTimeoutMs: 5000,
    maxInFlight: 1000,
    maxInFlightBytes: 1_000_000,
    sizes: new StanzaSizes(262_144, log),
  });
  const confirmations = new Confirmations({ stream: handle, remoteMs: 0, log });
  const rooms = new Rooms({
    stream: handle,
    component: 'gateway.example.org',
    limits,
    confirmTimeoutMs: 5000,
    idleMs: 60_000,
    passwords: {},
    maxInFlight: 1000,
    maxInFlightBytes: 1_000_000,
    deliverToServer: (stanza) => delivery.deliver(stanza),
    ...overrides,
  });
  handle.route(routeInbound({ delivery, confirmations, rooms }));
  const stream = createComponentStream({
    address: {
      host: '127.0.0.1',
      port: server.port,
      domain: 'gateway.example.org',
      secret: new Secret('secret'),
    },
    served: { domains: ['example.org'], mode: 'auto' },
    log,
    events: {
      onReady: (connection, modes) => {
        handle.attach(connection);
        delivery.handleReady(modes);
      },
      onStanza: (stanza) => handle.receive(stanza),
      answerRequest: (stanza) => rooms.answerRequest(stanza),
      onDrain: () => delivery.handleDrain(),
      onClose: (failure) => {
        handle.detach();
        delivery.handleClose(failure);
        rooms.handleClose(failure);
      },
    },
  });
  stream.start();
  cleanUps.push(server.stop, stream.stop);
  await waitUntil(() => stream.readiness().ready, { label: 'a ready stream' });
  const say = (
    id: string,
    to = lobby,
    from: Jid = createJid('alice', 'example.org'),
    caller = 'user alice@example.org',
  ) => rooms.deliver({ ...rooms.buildStanza(groupchat(id, to, from)), caller }, from);
  const steps = (): string[] =>
    taken.map(({ step, stanza: { root } }) =>
      step === 'join' || step === 'leave'
        ? `${step} ${root.attributes['to']?.split('/')[1]}`
        : `${step === 'message' ? '' : `${step} `}${step === 'query' ? '' : root.attributes['id']}`.trim(),
    );
  const push = (xml: string): void => peer?.send(xml);
  return { server, rooms, stream, taken, steps, say, push };
}

function groupchat(id: string, to: string, from: Jid): Message {
  return {
    id,
    caller: `user ${from.toString()}`,
    from,
    to: parseJid(to),
    type: 'groupchat',
    attributes: [],
    children: [],
  };
}

function stepOf({ root }: Stanza): Step {
  if (root.name === 'message') return 'message';
  if (root.name === 'presence') {
    return root.attributes['type'] === 'unavailable' ? 'leave' : 'join';
  }
  if (find(root, 'query', info) === undefined) return 'other';
  return root.attributes['to']?.includes('/') === true ? 'nobody' : 'query';
}

function answerAsRoom(step: Step, { root }: Stanza): string {
  const { id, from = '', to = '' } = root.attributes;
  if (step === 'query') {
    return `<iq type='result' id='${id}' from='${to}' to='${from}'><query xmlns='${info}'><feature var='${muc}'/></query></iq>`;
  }
  if (step === 'join') return ownPresence(to, from, '110');
  if (step === 'message') return reflection(id ?? '', from, `${to}/alice`);
  return '';
}

function ownPresence(from: string, to: string, ...codes: string[]): string {
  const all = codes.map((code) => `<status code='${code}'/>`).join('');
  return `<presence from='${from}' to='${to}'><x xmlns='${muc}#user'>${all}</x></presence>`;
}

function reflection(id: string, to = occupant, from = `${lobby}/alice`): string {
  return `<message type='groupchat' id='${id}' from='${from}' to='${to}'/>`;
}

/** As Prosody sends it. */
function subjectChange(subject: string, from = `${lobby}/alice`): string {
  return `<message type='groupchat' from='${from}' to='${occupant}'><subject>${subject}</subject></message>`;
}

function textElement(name: string, text: string): XmlElement {
  return { prefix: '', name, namespace: clientNamespace, attributes: [], children: [text] };
}

function refusal({ root }: Stanza, condition: string, type = 'cancel'): string {
  const { id = '', from, to } = root.attributes;
  return `<${root.name} type='error' id='${id}' from='${to}' to='${from}'><error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></${root.name}>`;
}

/** The modes when users of the domain may speak in rooms without joining. */
function modesWith(domain: string): DomainModes {
  const form = {
    mode: 'client',
    resource: 'http-1',
    speaksInRooms: true,
    returnsReceipts: true,
  } as const;
  return new Map([[domain, { form, report: describeForm(form, true) }]]);
}

const outcome = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'reflected',
    (error: { code?: string; options?: { stanzaError?: { condition: string } } }) =>
      error.options?.stanzaError?.condition ?? error.code ?? 'another error',
  );

describe('joining', () => {
  test('asks first, wants no history, and happens once', async () => {
    const { say, taken, steps } = await connect();
    await say('1');
    await say('2');
    expect(steps()).toEqual(['query', 'join alice', '1', '2']);
    expect(taken[1]?.stanza.xml).toBe(
      `<presence from='${occupant}' to='${lobby}/alice'><x xmlns='${muc}'><history maxstanzas='0'/></x></presence>`,
    );
  });

  test('ends where it is no longer needed, but not for other domains, nor before the last message', async () => {
    let reflect = (): void => {};
    const { rooms, say, steps } = await connect((step, stanza, peer) => {
      if (step !== 'message' || stanza.root.attributes['id'] !== '2') return undefined;
      reflect = () => peer.send(answerAsRoom(step, stanza));
      return '';
    });
    await say('1');
    const last = say('2');
    await waitUntil(() => steps().includes('2'), { label: 'the last message' });
    rooms.handleModes(modesWith('example.net'));
    rooms.handleModes(modesWith('example.org'));
    expect(steps()).not.toContain('leave alice');
    reflect();
    await last;
    await waitUntil(() => steps().includes('leave alice'), { label: 'the leave' });
  });

  test('sends the password of the room', async () => {
    const { say, taken } = await connect(undefined, {
      passwords: { [lobby]: new Secret("<'&>") },
    });
    await say('1');
    expect(taken[1]?.stanza.xml).toContain("<password>&lt;'&amp;&gt;</password>");
  });

  test.each(['item-not-found', 'remote-server-not-found', 'forbidden'])(
    'does not happen when the answer to the question is %s',
    async (condition) => {
      const { say, steps } = await connect((step, stanza) =>
        step === 'query' ? refusal(stanza, condition) : undefined,
      );
      expect(await Promise.all([outcome(say('1')), outcome(say('2'))])).toEqual([
        condition,
        condition,
      ]);
      expect(steps()).toEqual(['query']);
    },
  );

  test.each([
    ['not-acceptable', 'reflected'],
    ['item-not-found', 'item-not-found'],
  ])(
    'goes by the answer about nobody (%s) when the question is dropped',
    async (condition, fate) => {
      const { say } = await connect((step, stanza) => {
        if (step === 'query') return '';
        return step === 'nobody' ? refusal(stanza, condition) : undefined;
      });
      expect(await outcome(say('1'))).toBe(fate);
    },
  );

  test('asks once more when the question was swallowed', async () => {
    let questions = 0;
    const { say, steps } = await connect((step) => {
      if (step === 'query') questions += 1;
      return step === 'query' && questions === 1 ? '' : undefined;
    });
    expect(await outcome(say('1'))).toBe('reflected');
    expect(steps()).toEqual(['query', 'query', 'join alice', '1']);
  });

  test('goes by the first answer only', async () => {
    const { say, steps } = await connect((step, stanza) =>
      step === 'nobody' ? refusal(stanza, 'item-not-found') : undefined,
    );
    expect(await outcome(say('1'))).toBe('reflected');
    expect(steps()).toEqual(['query', 'join alice', '1']);
  });

  test.each([
    ['from another address', 'from', 'mallory@rooms.example'],
    ['to another address', 'to', 'mallory@gateway.example.org/x'],
  ])('ignores an answer %s', async (_, attribute, address) => {
    const { say } = await connect((step, stanza) =>
      step === 'query'
        ? refusal(stanza, 'forbidden').replace(
            new RegExp(` ${attribute}='[^']+'`),
            ` ${attribute}='${address}'`,
          ) + answerAsRoom(step, stanza)
        : undefined,
    );
    expect(await outcome(say('1'))).toBe('reflected');
  });

  test('does not happen at an address that is not a room', async () => {
    const { say, steps } = await connect((step, { root }) =>
      step === 'query'
        ? `<iq type='result' id='${root.attributes['id']}' from='${lobby}' to='${root.attributes['from']}'><query xmlns='${info}'><feature var='urn:x'/></query></iq>`
        : undefined,
    );
    expect(await outcome(say('1'))).toBe('service-unavailable');
    expect(steps()).toEqual(['query']);
  });

  test.each([
    'registration-required',
    'forbidden',
    'not-authorized',
    'item-not-found',
    'service-unavailable',
    'not-acceptable',
  ])('refused with %s fails the message, and is tried again with the next', async (condition) => {
    let isOpen = false;
    const { say } = await connect((step, stanza) =>
      step === 'join' && !isOpen ? refusal(stanza, condition, 'auth') : undefined,
    );
    expect(await outcome(say('1'))).toBe(condition);
    isOpen = true;
    expect(await outcome(say('2'))).toBe('reflected');
  });

  test('tries three nicks', async () => {
    let free = 'alice-3';
    const { say, steps } = await connect((step, stanza) => {
      const to = stanza.root.attributes['to'] ?? '';
      if (step === 'join' && !to.endsWith(`/${free}`)) return refusal(stanza, 'conflict');
      return step === 'message'
        ? reflection(stanza.root.attributes['id'] ?? '', occupant, `${lobby}/${free}`)
        : undefined;
    });
    expect(await outcome(say('1'))).toBe('reflected');
    expect(steps()).toEqual(['query', 'join alice', 'join alice-2', 'join alice-3', '1']);
  });

  test('is not complete at the presence of somebody else with the nick', async () => {
    const { say, steps } = await connect((step, stanza) => {
      const { id = '', to = '' } = stanza.root.attributes;
      // As a room sends it to an occupant that a previous process left in it.
      if (step === 'join' && to.endsWith('/alice')) {
        return ownPresence(to, occupant) + refusal(stanza, 'conflict');
      }
      return step === 'message' ? reflection(id, occupant, `${lobby}/alice-2`) : undefined;
    });
    expect(await outcome(say('1'))).toBe('reflected');
    expect(steps()).toEqual(['query', 'join alice', 'join alice-2', '1']);
  });

  test('fails when all three nicks are taken', async () => {
    const { say, steps } = await connect((step, stanza) =>
      step === 'join' ? refusal(stanza, 'conflict') : undefined,
    );
    expect(await outcome(say('1'))).toBe('conflict');
    expect(steps()).toEqual(['query', 'join alice', 'join alice-2', 'join alice-3']);
  });

  test('is undone if it has created a room', async () => {
    const { say, steps } = await connect((step, { root: { attributes } }) =>
      step === 'join' ? ownPresence(attributes['to'] ?? '', occupant, '110', '201') : undefined,
    );
    expect(await outcome(say('1'))).toBe('item-not-found');
    await say('2').catch(() => {});
    expect(steps().slice(0, 3)).toEqual(['query', 'join alice', 'leave alice']);
  });

  test('is not complete at the echo of an earlier leave', async () => {
    let joins = 0;
    const { say, steps } = await connect(
      (step, stanza) => {
        if (step === 'join') joins += 1;
        return step === 'join' && joins === 2
          ? `<presence type='unavailable' from='${lobby}/alice' to='${occupant}'/>${refusal(stanza, 'forbidden')}`
          : undefined;
      },
      { idleMs: 50 },
    );
    await say('1');
    await waitUntil(() => steps().includes('leave alice'), { label: 'the leave' });
    expect(await outcome(say('2'))).toBe('forbidden');
  });

  test('is undone if it takes too long, and the message was not sent', async () => {
    const { say, steps } = await connect((step) => (step === 'join' ? '' : undefined), {
      confirmTimeoutMs: 100,
    });
    expect(await outcome(say('1'))).toBe('xmpp-unavailable');
    await waitUntil(() => steps().length === 3, { label: 'the leave' });
    expect(steps()).toEqual(['query', 'join alice', 'leave alice']);
  });

  test('uses an address that no other sender has', async () => {
    const { rooms } = await connect();
    const from = (local: string, domain: string): string =>
      rooms.buildStanza(groupchat('1', lobby, createJid(local, domain))).from.toString();
    expect(from('a%b', 'example.org')).toBe('a%b%example.org@gateway.example.org/gateway');
    expect(from('alice', '[2001:db8::1]')).toBe(
      'alice%[2001\\3adb8\\3a\\3a1]@gateway.example.org/gateway',
    );
    expect(() => from('a'.repeat(1020), 'example.org')).toThrow('cannot speak in rooms');
  });
});

describe('a message', () => {
  test('keeps its place among 100', async () => {
    const { say, steps } = await connect();
    const ids = Array.from({ length: 100 }, (_, index) => String(index));
    await Promise.all(ids.map((id) => say(id)));
    expect(steps()).toEqual(['query', 'join alice', ...ids]);
  });

  test('is confirmed by its own reflection only', async () => {
    let release = (): void => {};
    const { say } = await connect((step, stanza, peer) => {
      if (step !== 'message' || stanza.root.attributes['id'] !== '1') return undefined;
      release = () => peer.send(answerAsRoom(step, stanza));
      return [
        reflection('1', occupant, `${lobby}/mallory`),
        reflection('2'),
        reflection('1', occupant, 'other@rooms.example/alice'),
        `<message type='chat' id='1' from='${lobby}/alice' to='${occupant}'/>`,
        refusal(stanza, 'forbidden').replace("from='lobby@", "from='other@"),
        // One occupant sends this to another through the room.
        refusal(stanza, 'not-acceptable').replace(lobby, `${lobby}/mallory`),
      ].join('');
    });
    let isSettled = false;
    const said = say('1').finally(() => {
      isSettled = true;
    });
    // It is written after the first, so its reflection comes after all those forgeries.
    await say('last');
    expect(isSettled).toBe(false);
    release();
    await said;
  });

  test('that changes the subject is confirmed by that change, which Prosody sends without an id', async () => {
    let change = (): void => {};
    let reflect = (): void => {};
    const { rooms, say } = await connect((step, stanza, peer) => {
      const { id } = stanza.root.attributes;
      // The subject that the room has had since an earlier visit of the occupant.
      if (step === 'join') return answerAsRoom(step, stanza) + subjectChange('Disk');
      if (step !== 'message' || id === 'last') return undefined;
      if (id === 'spoken') reflect = () => peer.send(answerAsRoom(step, stanza));
      if (id === 'second') change = () => peer.send(subjectChange('Disk'));
      return [
        subjectChange('Disk', `${lobby}/mallory`),
        subjectChange('Disk', lobby),
        subjectChange('Disk', 'other@rooms.example/alice'),
        subjectChange('Memory'),
        subjectChange('Disk').replace('</message>', '<body>Disk</body></message>'),
      ].join('');
    });
    const settled: string[] = [];
    const give = (id: string, ...others: XmlElement[]): Promise<void> => {
      const from = createJid('alice', 'example.org');
      const children = [textElement('subject', 'Disk'), ...others];
      const stanza = rooms.buildStanza({ ...groupchat(id, lobby, from), children });
      return rooms.deliver(stanza, from).finally(() => settled.push(id));
    };
    const spoken = outcome(give('spoken', textElement('body', 'Disk')));
    const [first, second] = [outcome(give('first')), outcome(give('second'))];
    // It is written after them, so its reflection comes after all that confirms nothing.
    await say('last');
    expect(settled).toEqual([]);
    change();
    expect(await first).toBe('reflected');
    expect(settled).toEqual(['first']);
    change();
    expect(await second).toBe('reflected');
    reflect();
    expect(await spoken).toBe('reflected');
  });

  test('is confirmed under the new nick that the room has given', async () => {
    const { say, push, steps } = await connect((step, { root }) =>
      step === 'message' && root.attributes['id'] !== '1'
        ? reflection(root.attributes['id'] ?? '', occupant, `${lobby}/alicia`)
        : undefined,
    );
    await say('1');
    push(
      `<presence type='unavailable' from='${lobby}/alice' to='${occupant}'><x xmlns='${muc}#user'><item nick='alicia'/><status code='303'/><status code='110'/></x></presence>` +
        ownPresence(`${lobby}/alicia`, occupant, '110'),
    );
    expect(await outcome(say('2'))).toBe('reflected');
    expect(steps()).toEqual(['query', 'join alice', '1', '2']);
  });

  test('that the room refuses does not hold up the others', async () => {
    const { say } = await connect((step, stanza) =>
      step === 'message' && stanza.root.attributes['id'] === '2'
        ? refusal(stanza, 'forbidden', 'auth')
        : undefined,
    );
    expect(await Promise.all(['1', '2', '3'].map((id) => outcome(say(id))))).toEqual([
      'reflected',
      'forbidden',
      'reflected',
    ]);
  });

  test('that a room refuses as if our own server refused the sender is bounced', async () => {
    let refuse = (): void => {};
    const { say } = await connect((step, stanza, peer) => {
      if (step !== 'message' || stanza.root.attributes['id'] !== '1') return undefined;
      const forged = "<sender-refused xmlns='urn:xmpp-message-gateway:0'/></error>";
      refuse = () => peer.send(refusal(stanza, 'forbidden').replace('</error>', forged));
      return '';
    });
    const refused = outcome(say('1'));
    await say('2');
    // It is written after the barrier of the first, so its reflection shows that this has been answered.
    await say('3');
    refuse();
    expect(await refused).toBe('forbidden');
  });

  test('that is not reflected in time is unknown', async () => {
    const { say } = await connect((step) => (step === 'message' ? '' : undefined), {
      confirmTimeoutMs: 100,
    });
    expect(await outcome(say('1'))).toBe('delivery-unknown');
  });

  test('is repeated once, in its place, when the room has forgotten the occupant', async () => {
    let isKnown = true;
    const { say, steps } = await connect((step, stanza) => {
      if (step === 'join') isKnown = true;
      return step === 'message' && !isKnown ? refusal(stanza, 'not-acceptable') : undefined;
    });
    await say('0');
    isKnown = false;
    const ids = ['1', '2', '3'];
    const outcomes = await Promise.all(ids.map((id) => outcome(say(id))));
    expect(outcomes).toEqual(['reflected', 'reflected', 'reflected']);
    expect(steps()).toEqual(['query', 'join alice', '0', ...ids, 'query', 'join alice', ...ids]);
  });

  test('that comes while others are being repeated is sent after them', async () => {
    let isKnown = false;
    let bounceSecond = (): void => {};
    const { say, steps } = await connect((step, stanza, peer) => {
      const { id, to } = stanza.root.attributes;
      if (step === 'join' && to?.startsWith('lobby')) isKnown = steps().length > 4;
      if (step !== 'message' || isKnown) return undefined;
      if (id === '2') bounceSecond = () => peer.send(refusal(stanza, 'not-acceptable'));
      return id === '1' ? refusal(stanza, 'not-acceptable') : id === '2' ? '' : undefined;
    });
    const first = [say('1'), say('2')];
    // Its reflection shows that the first refusal has been read.
    await say('x', 'other@rooms.example');
    const third = say('3');
    await say('y', 'other@rooms.example');
    expect(steps().filter((step) => step === 'query')).toHaveLength(2);
    bounceSecond();
    await Promise.all([...first, third]);
    expect(steps().filter((step) => /^\d$/.test(step))).toEqual(['1', '2', '1', '2', '3']);
  });

  test('that is refused a second time is not repeated again', async () => {
    const { say, steps } = await connect((step, stanza) =>
      step === 'message' ? refusal(stanza, 'not-acceptable') : undefined,
    );
    expect(await outcome(say('1'))).toBe('not-acceptable');
    expect(steps()).toEqual(['query', 'join alice', '1', 'query', 'join alice', '1']);
  });

  test('brings back an occupant that was kicked', async () => {
    const { say, push, steps } = await connect();
    await say('1');
    push(
      `<presence type='unavailable' from='${lobby}/alice' to='${occupant}'><x xmlns='${muc}#user'><status code='307'/></x></presence>`,
    );
    // Its reflection shows that the kick has been read.
    await say('x', 'other@rooms.example');
    await say('2');
    expect(steps().slice(-3)).toEqual(['query', 'join alice', '2']);
  });
});

describe('a lost stream', () => {
  test('leaves unknown what was written, and refuses the rest', async () => {
    let reset = (): void => {};
    const { say } = await connect((step, { root }, peer) => {
      if (step === 'join' && root.attributes['to']?.startsWith('closed@')) return '';
      if (step !== 'message' || root.attributes['id'] !== '1') return undefined;
      reset = () => peer.reset();
      return '';
    });
    const waiting = outcome(say('2', 'closed@rooms.example'));
    const written = outcome(say('1'));
    // It follows the first one, so our server has processed that too, and only its reflection is missing.
    expect(await outcome(say('answered', 'other@rooms.example'))).toBe('reflected');
    reset();
    expect(await written).toBe('delivery-unknown');
    expect(await waiting).toBe('xmpp-unavailable');
    expect(await outcome(say('3'))).toBe('xmpp-unavailable');
  });

  test('does not cost the occupant its place in the room', async () => {
    const { say, steps, server, stream } = await connect((step, { root }, peer) => {
      if (step === 'message' && root.attributes['id'] === 'reset') peer.reset();
      return undefined;
    });
    await say('1');
    await outcome(say('reset'));
    await waitUntil(() => server.handshakes === 2 && stream.readiness().ready, {
      label: 'another stream',
    });
    await say('2');
    expect(steps()).toEqual(['query', 'join alice', '1', 'reset', '2']);
  });
});

describe('one room', () => {
  test('that is silent keeps to its share, and does not hold up another', async () => {
    const { say } = await connect(
      (step, { root }) => (step === 'query' && root.attributes['to'] === lobby ? '' : undefined),
      { maxInFlight: 8, confirmTimeoutMs: 300 },
    );
    const stuck = ['1', '2', '3'].map((id) => outcome(say(id)));
    expect(await stuck[2]).toBe('overloaded');
    for (const id of ['4', '5', '6']) {
      expect(await outcome(say(id, 'other@rooms.example'))).toBe('reflected');
    }
    expect(await Promise.all(stuck)).toEqual([
      'xmpp-unavailable',
      'xmpp-unavailable',
      'overloaded',
    ]);
  });

  test('is left for another when there are too many', async () => {
    const { say, steps } = await connect(undefined, { maxOccupants: 2 });
    await say('1', 'a@rooms.example');
    await say('2', 'b@rooms.example');
    await say('3', 'a@rooms.example');
    await say('4', 'c@rooms.example');
    expect(steps().filter((step) => step.startsWith('leave'))).toHaveLength(1);
    expect(await outcome(say('5', 'a@rooms.example'))).toBe('reflected');
    expect(steps().filter((step) => step === 'query')).toHaveLength(3);
  });

  test('is not left while a message waits there', async () => {
    const { say } = await connect(
      (step, { root }) =>
        step === 'join' && root.attributes['to']?.startsWith('a@') ? '' : undefined,
      { maxOccupants: 1, confirmTimeoutMs: 200 },
    );
    const waiting = outcome(say('1', 'a@rooms.example'));
    expect(await outcome(say('2', 'b@rooms.example'))).toBe('overloaded');
    expect(await waiting).toBe('xmpp-unavailable');
    expect(await outcome(say('3', 'b@rooms.example'))).toBe('reflected');
  });

  test('that does not let its occupant in gives way to one of a caller with fewer of those', async () => {
    const { say } = await connect(
      (step, { root }) =>
        step === 'join' && root.attributes['to']?.includes('@tarpit.example') ? '' : undefined,
      { maxOccupants: 3, confirmTimeoutMs: 1000 },
    );
    const flood = ['1', '2', '3'].map((id) => outcome(say(id, `${id}@tarpit.example`)));
    expect(await outcome(say('4', '4@tarpit.example'))).toBe('overloaded');
    expect(await outcome(say('5', lobby, undefined, 'account alerts'))).toBe('reflected');
    expect(await flood[2]).toBe('overloaded');
    expect(await Promise.all(flood.slice(0, 2))).toEqual(['xmpp-unavailable', 'xmpp-unavailable']);
  });

  test('is left after a while', async () => {
    const { say, steps } = await connect(undefined, { idleMs: 50 });
    await say('1');
    await waitUntil(() => steps().includes('leave alice'), { label: 'the leave' });
    await say('2');
    expect(steps().slice(0, 7)).toEqual([
      'query',
      'join alice',
      '1',
      'leave alice',
      'query',
      'join alice',
      '2',
    ]);
  });

  test('is left at the end', async () => {
    const { say, steps, rooms } = await connect();
    await say('1');
    rooms.leave();
    await waitUntil(() => steps().length === 4, { label: 'the leave' });
    expect(steps()).toEqual(['query', 'join alice', '1', 'leave alice']);
  });

  test('is left by an occupant that a previous process left in it', async () => {
    const { push, say, steps, taken } = await connect();
    await say('1', 'other@rooms.example');
    push(reflection('x', occupant, `${lobby}/bob`));
    await waitUntil(() => steps().includes('leave bob'), { label: 'the leave' });
    expect(taken.at(-1)?.stanza.root.attributes).toEqual({
      type: 'unavailable',
      from: occupant,
      to: `${lobby}/bob`,
    });
  });
});

test.each([
  ['a ping of the room', `${lobby}/bob`, 'urn:xmpp:ping', 'ping', 'result'],
  ['a ping of another', 'mallory@rooms.example/x', 'urn:xmpp:ping', 'ping', 'error'],
  ['another request', `${lobby}/bob`, 'jabber:iq:version', 'query', 'error'],
])('%s', async (_, from, namespace, name, type) => {
  const { say, push, taken } = await connect();
  await say('1');
  push(
    `<iq type='get' id='asked' from='${from}' to='${occupant}'><${name} xmlns='${namespace}'/></iq>`,
  );
  await waitUntil(() => taken.at(-1)?.step === 'other', { label: 'the answer' });
  expect(taken.at(-1)?.stanza.root.attributes).toEqual({
    type,
    id: 'asked',
    from: occupant,
    to: from,
  });
});
