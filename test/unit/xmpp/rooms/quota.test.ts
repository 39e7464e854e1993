import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import type { Stanza } from '../../../../src/core/message/message.ts';
import { createRoomQuota } from '../../../../src/xmpp/rooms/rooms.ts';

function stanza(room: string, bytes = 1, caller = room): Stanza {
  const from = parseJid('alice%example.org@gateway.example.org/gateway');
  return {
    id: '1',
    caller,
    from,
    to: parseJid(`${room}@rooms.example`),
    xml: '',
    bytes,
    heldBytes: bytes,
    isWrapped: false,
    isGroupchat: false,
  };
}

test('one room may have a quarter of the messages, and all rooms together all of them', () => {
  const { take } = createRoomQuota({ maxInFlight: 8, maxInFlightBytes: 1000 });
  const releases = ['a', 'a', 'b', 'b', 'c', 'c', 'd'].map((room) => take(stanza(room)));
  expect(() => take(stanza('a'))).toThrow('on their way into this room');
  take(stanza('d'));
  expect(() => take(stanza('e'))).toThrow('too many messages are in flight');
  releases[0]?.();
  take(stanza('a'));
  expect(() => take(stanza('e'))).toThrow('too many messages are in flight');
});

test('the same holds for bytes, but one message always fits', () => {
  const { take } = createRoomQuota({ maxInFlight: 100, maxInFlightBytes: 100 });
  const release = take(stanza('a', 60));
  expect(() => take(stanza('a', 1))).toThrow('on their way into this room');
  take(stanza('b', 20));
  expect(() => take(stanza('c', 21))).toThrow('too many messages are in flight');
  release();
  take(stanza('c', 21));
});

test('one caller may have half, in whatever rooms', () => {
  const { take } = createRoomQuota({ maxInFlight: 8, maxInFlightBytes: 1000 });
  const releases = ['a', 'a', 'b', 'c'].map((room) => take(stanza(room, 1, 'flooder')));
  expect(() => take(stanza('d', 1, 'flooder'))).toThrow('of this caller');
  take(stanza('d', 1, 'another'));
  releases[0]?.();
  take(stanza('d', 1, 'flooder'));
});
