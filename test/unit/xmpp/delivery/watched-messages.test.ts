import { getHeapSnapshot } from 'node:v8';
import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { parseJson } from '../../../../src/core/json.ts';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import { serializeMessage } from '../../../../src/core/message/message.ts';
import { decodeUtf8 } from '../../../../src/core/text.ts';
import { WatchedMessages } from '../../../../src/xmpp/delivery/watched-messages.ts';
import { context, readMessageFromJson } from '../../core/message-context.ts';

const { limits } = context;

/** Which of these are in the heap, repeated, once the garbage has been collected. */
async function findRepeatedInHeap(words: readonly string[]): Promise<string[]> {
  const patterns = words.map((word) => ({ word, pattern: new RegExp(`(${word} ){20}`) }));
  const found = new Set<string>();
  let rest = '';
  for await (const chunk of getHeapSnapshot()) {
    const part = `${rest}${chunk}`;
    for (const { word, pattern } of patterns) if (pattern.test(part)) found.add(word);
    rest = part.slice(-1000);
  }
  return [...found];
}

test.each([
  [
    'JSON',
    (id: string, text: string) =>
      readMessageFromJson(
        parseJson(
          decodeUtf8(
            Buffer.from(
              `{"to": "a-long-name@remote.example", "body": "${text}", "message_attributes": {"id": "${id}"}}`,
            ),
          ),
        ),
        { ...context, limits },
      ),
  ],
  [
    'XML',
    (id: string, text: string) =>
      parseMessageFromXml(
        decodeUtf8(
          Buffer.from(
            `<message id='${id}' to='a-long-name@remote.example'><body>${text}</body></message>`,
          ),
        ),
        { ...context, limits },
      ),
  ],
])('the text of a message from %s is not kept', async (_, read) => {
  const watched = new WatchedMessages();
  for (const word of ['first', 'second', 'third']) {
    const text = `${word} `.repeat(20_000);
    const stanza = serializeMessage(read(`an-id-of-the-caller-${word}`, text), limits);
    watched.add(stanza, 'alerts', 'none');
  }
  const kept = decodeUtf8(Buffer.from('kept '.repeat(20_000)));
  // V8 itself keeps the last string that a regular expression was applied to.
  expect(await findRepeatedInHeap(['first', 'second', 'kept'])).toEqual(['kept']);
  expect(kept).toHaveLength(100_000);
  // Keeps it alive until here.
  expect(watched.isEmpty()).toBe(false);
});

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
