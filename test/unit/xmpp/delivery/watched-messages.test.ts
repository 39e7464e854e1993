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
  const repeated = words.map((word) => ({ word, text: `${word} `.repeat(20) }));
  const found = new Set<string>();
  let rest = '';
  for await (const chunk of getHeapSnapshot()) {
    const part = `${rest}${chunk}`;
    for (const { word, text } of repeated) if (part.includes(text)) found.add(word);
    rest = part.slice(-1000);
  }
  return [...found];
}

/** Reads a message with this text from the bytes of a body, as the gateway does. */
const readers = {
  json: (id: string, body: string) =>
    readMessageFromJson(parseJson(decodeUtf8(Buffer.from(JSON.stringify({ to, id, body })))), {
      ...context,
      limits,
    }),
  xml: (id: string, body: string) =>
    parseMessageFromXml(
      decodeUtf8(Buffer.from(`<message id='${id}' to='${to}'><body>${body}</body></message>`)),
      { ...context, limits },
    ),
};
const to = 'a-long-name@remote.example';

test('the text of a message is not kept, whether it came as JSON or as XML', async () => {
  const watched = new WatchedMessages();
  for (const [form, read] of Object.entries(readers)) {
    for (const place of ['first', 'second', 'third']) {
      const text = `${place}-${form} `.repeat(20_000);
      const stanza = serializeMessage(read(`an-id-of-the-caller-${place}`, text), limits);
      watched.add(stanza, 'alerts', 'none');
    }
  }
  const kept = decodeUtf8(Buffer.from('kept '.repeat(20_000)));
  // V8 itself keeps the last string that a regular expression was applied to.
  const words = ['first-json', 'second-json', 'first-xml', 'second-xml', 'kept'];
  expect(await findRepeatedInHeap(words)).toEqual(['kept']);
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
