import { parse } from 'ltx';
import { expect, test } from 'vitest';
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
    barrierDomain: 'example.org',
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
