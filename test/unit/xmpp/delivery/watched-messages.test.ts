import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { WatchedMessages } from '../../../../src/xmpp/delivery/watched-messages.ts';

const sender = 'juliet@example.org/http-x';

/** A message of juliet to bob. */
function buildMessage(id: string) {
  return { id, from: parseJid(sender), to: parseJid('bob@example.org'), isGroupchat: false };
}

test('of equal messages, the one that waits for its receipt is the latest', () => {
  const watched = new WatchedMessages();
  const awaiting = watched.add(buildMessage('1'), 'alerts', 'requested');
  const other = watched.add(buildMessage('1'), 'alerts', 'none');
  watched.add(buildMessage('2'), 'alerts', 'none');
  expect(watched.findSame('1', sender)).toEqual([other, awaiting]);
  watched.release(awaiting);
  expect(watched.findSame('1', sender)).toEqual([other, awaiting]);
  watched.remove(other);
  expect(watched.findSame('1', sender)).toEqual([awaiting]);
  watched.remove(awaiting);
  expect(watched.findSame('1', sender)).toEqual([]);
});

test('one that has waited for its receipt makes room, and takes no place from others', () => {
  const watched = new WatchedMessages();
  const messages = Array.from({ length: 2000 }, (_, index) =>
    watched.add(buildMessage(`${index}`), 'alerts', 'requested'),
  );
  expect(['alerts', 'bot'].map((caller) => watched.hasPlaceFor(caller))).toEqual([false, true]);
  for (const message of messages) watched.release(message);
  expect(watched.hasPlaceFor('alerts')).toBe(true);
  for (let index = 0; index < 20_000; index += 1) {
    watched.add(buildMessage(`other ${index}`), 'bot', 'none');
  }
  expect(messages.every(({ isUnwatched }) => isUnwatched)).toBe(true);
});
