import { parse } from 'ltx';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { RoomHosts } from '../../../../src/xmpp/rooms/hosts.ts';
import type { ComponentConnection } from '../../../../src/xmpp/stream/connection.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';

const yes = "<gateway xmlns='urn:xmpp-message-gateway:0' version='1'><speak-in-rooms/></gateway>";
const no = "<gateway xmlns='urn:xmpp-message-gateway:0' version='1'/>";

function create() {
  const stream = new StreamHandle();
  const hosts = new RoomHosts({
    stream,
    component: 'gateway.example.org',
    domains: ['example.org'],
  });
  const written: string[] = [];
  const connection: ComponentConnection = {
    write: (xml) => void written.push(xml),
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  };
  const attach = (): void => stream.attach(connection);
  const detach = (): void => {
    stream.detach();
    hosts.handleClose();
  };
  attach();
  const answer = (from: string, type: string, payload = '', id = lastId()): void =>
    stream.receive(
      parse(
        `<iq type='${type}' id='${id}' from='${from}' to='gateway.example.org'>${payload}</iq>`,
      ),
    );
  const lastId = (): string => /id='([^']+)'/.exec(written.at(-1) ?? '')?.[1] ?? '';
  return { hosts, attach, detach, written, answer };
}

test('the module of our server answers before the ping that follows the question', async () => {
  const { hosts, written, answer } = create();
  const found = hosts.speakWithoutJoining('rooms.example.org');
  expect(written).toHaveLength(1);
  expect(written[0]).toMatch(
    /^<iq [^>]*to='rooms\.example\.org'>.*<iq [^>]*to='example\.org\/gateway'>/,
  );
  answer('rooms.example.org', 'result', yes);
  answer('example.org/gateway', 'result');
  expect(await found).toBe(true);
});

test.each<[string, (answer: ReturnType<typeof create>['answer']) => void]>([
  ['it refuses', (answer) => answer('rooms.example.org', 'error')],
  ['its module does not allow it', (answer) => answer('rooms.example.org', 'result', no)],
  ['the ping is answered first', (answer) => answer('example.org/gateway', 'result')],
])('users have to join where %s', async (_, act) => {
  const { hosts, answer } = create();
  const found = hosts.speakWithoutJoining('rooms.example.org');
  answer('mallory.example', 'result', yes);
  answer('rooms.example.org', 'result', yes, 'guessed');
  act(answer);
  answer('rooms.example.org', 'result', yes);
  expect(await found).toBe(false);
});

test('a domain is asked once per stream', async () => {
  const { hosts, attach, detach, written, answer } = create();
  const found = [1, 2].map(() => hosts.speakWithoutJoining('rooms.example.org'));
  answer('rooms.example.org', 'result', yes);
  expect(await Promise.all(found)).toEqual([true, true]);
  expect(await hosts.speakWithoutJoining('rooms.example.org')).toBe(true);
  expect(written).toHaveLength(1);
  detach();
  attach();
  void hosts.speakWithoutJoining('rooms.example.org');
  expect(written).toHaveLength(2);
  detach();
});

test('a lost stream ends the question, and its answers are forgotten', async () => {
  const { hosts, attach, detach, written } = create();
  const found = hosts.speakWithoutJoining('rooms.example.org');
  detach();
  expect(await found).toBe(false);
  expect(await hosts.speakWithoutJoining('rooms.example.org')).toBe(false);
  attach();
  void hosts.speakWithoutJoining('rooms.example.org');
  expect(written).toHaveLength(2);
  detach();
});

describe('whether a message is for a room', () => {
  const room = parseJid('ops@rooms.example.org');
  const caller = 'user bot@example.org';
  const identity = (category: string, type: string): string =>
    `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='${category}' type='${type}'/><feature var='http://jabber.org/protocol/muc'/></query>`;
  const muc = identity('conference', 'text');
  const condition = (name: string): string =>
    `<error type='cancel'><${name} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
  const occupantIn = (written: readonly string[]): string =>
    /to='(ops@rooms\.example\.org\/[^']+)'/.exec(written[0] ?? '')?.[1] ?? '';

  test.each([
    ['has rooms', muc, true],
    ['has users', identity('server', 'im').replace(/<feature.*\/>/, ''), false],
    ['is a gateway to IRC, with users', identity('conference', 'irc'), false],
  ])('is asked of its domain once, which %s', async (_, payload, expected) => {
    const { hosts, written, answer } = create();
    const found = [1, 2].map(async () => hosts.isForRoom({ to: room, caller }));
    answer('mallory.example', 'result', muc);
    answer('rooms.example.org', 'result', muc, 'guessed');
    answer('rooms.example.org', 'result', payload);
    answer('rooms.example.org', 'result', muc);
    expect(await Promise.all(found)).toEqual([expected, expected]);
    const other = parseJid('dev@rooms.example.org');
    expect(await hosts.isForRoom({ to: other, caller })).toBe(expected);
    expect(written).toHaveLength(1);
  });

  test('is known from the room, for itself, where the server drops the other question', async () => {
    const { hosts, written, answer } = create();
    const found = hosts.isForRoom({ to: room, caller });
    answer('rooms.example.org', 'error', condition('service-unavailable'));
    answer(occupantIn(written), 'error', condition('not-acceptable'));
    expect(await found).toBe(true);
    expect(await hosts.isForRoom({ to: room, caller })).toBe(true);
    expect(written).toHaveLength(1);
    void hosts.isForRoom({ to: parseJid('dev@rooms.example.org'), caller });
    expect(written).toHaveLength(2);
  });

  test.each([
    ['nobody answers within two seconds', () => vi.advanceTimersByTime(2000)],
    [
      'both questions are refused',
      ({ answer, written }: ReturnType<typeof create>) => {
        answer('rooms.example.org', 'error', condition('remote-server-not-found'));
        answer(occupantIn(written), 'error', condition('remote-server-not-found'));
      },
    ],
  ])('is no when %s, and asked again after five minutes', async (_, refuse) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    // A cache takes the time 0 for none.
    vi.advanceTimersByTime(1);
    const scene = create();
    const { hosts, written, answer } = scene;
    const found = hosts.isForRoom({ to: room, caller });
    refuse(scene);
    expect(await found).toBe(false);
    expect(await hosts.isForRoom({ to: room, caller })).toBe(false);
    expect(written).toHaveLength(1);
    vi.advanceTimersByTime(300_001);
    const again = hosts.isForRoom({ to: room, caller });
    expect(written).toHaveLength(2);
    answer('rooms.example.org', 'result', muc);
    expect(await again).toBe(true);
  });

  test.each(['bob@example.org', 'rooms.example.org', 'ops@rooms.example.org/nick'])(
    'is no for %s',
    async (address) => {
      const { hosts, written } = create();
      expect(await hosts.isForRoom({ to: parseJid(address), caller })).toBe(false);
      expect(written).toEqual([]);
    },
  );

  test('is not asked for more messages of one caller than may wait; others may', async () => {
    const { hosts, detach, answer } = create();
    const waiting = Array.from({ length: 256 }, async () => hosts.isForRoom({ to: room, caller }));
    expect(await hosts.isForRoom({ to: room, caller })).toBe(false);
    const other = hosts.isForRoom({ to: room, caller: 'account alerts' });
    answer('rooms.example.org', 'result', muc);
    expect(await other).toBe(true);
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => true));
    detach();
    expect(await hosts.isForRoom({ to: room, caller })).toBe(false);
  });
});
