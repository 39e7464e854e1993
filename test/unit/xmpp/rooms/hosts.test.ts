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

describe('whether an address is a room', () => {
  const room = parseJid('ops@rooms.example.org');
  const muc =
    "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/><feature var='http://jabber.org/protocol/muc'/></query>";
  const users =
    "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im'/></query>";
  const condition = (name: string): string =>
    `<error type='cancel'><${name} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

  test.each([
    ['has rooms', 'result', muc, true],
    ['has users', 'result', users, false],
    ['cannot be reached', 'error', condition('remote-server-not-found'), false],
  ])('is asked of its domain once, which %s', async (_, type, payload, expected) => {
    const { hosts, written, answer } = create();
    const found = [1, 2].map(() => hosts.isRoom(room));
    answer('mallory.example', 'result', muc);
    answer('rooms.example.org', 'result', muc, 'guessed');
    answer('rooms.example.org', type, payload);
    expect(await Promise.all(found)).toEqual([expected, expected]);
    expect(await hosts.isRoom(parseJid('dev@rooms.example.org'))).toBe(expected);
    expect(written).toHaveLength(1);
  });

  test('is known from the room where the server drops the question to the domain', async () => {
    const { hosts, written, answer } = create();
    const found = hosts.isRoom(room);
    const occupant = /to='(ops@rooms\.example\.org\/[^']+)'/.exec(written[0] ?? '')?.[1] ?? '';
    answer(occupant, 'error', condition('item-not-found'));
    answer(occupant, 'error', condition('not-acceptable'));
    expect(await found).toBe(true);
  });

  test('is no when nobody answers within two seconds, and asked again after a minute', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { hosts, written, answer } = create();
    const found = hosts.isRoom(room);
    vi.advanceTimersByTime(2000);
    expect(await found).toBe(false);
    expect(await hosts.isRoom(room)).toBe(false);
    expect(written).toHaveLength(1);
    vi.advanceTimersByTime(60_001);
    const again = hosts.isRoom(room);
    expect(written).toHaveLength(2);
    answer('rooms.example.org', 'result', muc);
    expect(await again).toBe(true);
  });

  test.each(['bob@example.org', 'rooms.example.org', 'ops@rooms.example.org/nick'])(
    '%s is not',
    async (address) => {
      const { hosts, written } = create();
      expect(await hosts.isRoom(parseJid(address))).toBe(false);
      expect(written).toEqual([]);
    },
  );

  test('is refused when too many messages wait for an answer', async () => {
    const { hosts, detach } = create();
    const waiting = Array.from({ length: 256 }, () => hosts.isRoom(room));
    await expect(hosts.isRoom(room)).rejects.toMatchObject({ code: 'overloaded' });
    detach();
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => false));
    expect(await hosts.isRoom(room)).toBe(false);
  });
});
