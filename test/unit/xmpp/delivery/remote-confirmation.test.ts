import { getHeapSnapshot } from 'node:v8';
import { parse } from 'ltx';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { parseJson } from '../../../../src/core/json.ts';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import { serializeMessage } from '../../../../src/core/message/message.ts';
import { decodeUtf8 } from '../../../../src/core/text.ts';
import { RemoteConfirmation } from '../../../../src/xmpp/delivery/remote-confirmation.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';
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
  const remote = new RemoteConfirmation({
    stream: new StreamHandle(),
    timeoutMs: 0,
    log: pino({ enabled: false }),
  });
  for (const word of ['first', 'second', 'third']) {
    remote.watch(
      serializeMessage(read(`an-id-of-the-caller-${word}`, `${word} `.repeat(20_000)), limits),
    );
  }
  const kept = decodeUtf8(Buffer.from('kept '.repeat(20_000)));
  // V8 itself keeps the last string that a regular expression was applied to.
  expect(await findRepeatedInHeap(['first', 'second', 'kept'])).toEqual(['kept']);
  expect(kept).toHaveLength(100_000);
  // Keeps it alive until here.
  remote.handleClose();
});

const stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";

const sender = 'juliet@example.org/http-x';

/** A remote confirmation whose pings the test answers. */
function attach(timeoutMs: number) {
  const stream = new StreamHandle();
  const remote = new RemoteConfirmation({ stream, timeoutMs, log: pino({ enabled: false }) });
  const pings: string[] = [];
  stream.attach({
    write: (xml) => pings.push(/id='([^']+)'/.exec(xml)?.[1] ?? ''),
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  });
  const watch = (id: string) =>
    remote.watch({
      id,
      from: parseJid(sender),
      to: parseJid('bob@remote.example'),
      isGroupchat: false,
    });
  const answer = (xml: string): void =>
    stream.receive(
      parse(`<iq id='${pings.shift()}' from='remote.example/gateway' to='${sender}' ${xml}</iq>`),
    );
  const bounce = (id: string): boolean =>
    remote.takeBounceOfProcessed(
      parse(
        `<message type='error' id='${id}' from='bob@remote.example' to='${sender}'><error type='cancel'><service-unavailable ${stanzas}/></error></message>`,
      ),
    );
  return { watch, answer, bounce };
}

test.each([
  ['a result', "type='result'>", 'remote'],
  [
    'an error of our own server, which cannot reach it',
    `type='error'><error type='cancel'><remote-server-not-found ${stanzas}/></error>`,
    'server',
  ],
  [
    'a refusal of the sender by the module of our own server',
    `type='error'><error type='auth'><forbidden ${stanzas}/><sender-refused xmlns='urn:xmpp-message-gateway:0'/></error>`,
    'server',
  ],
])('a ping answered with %s', async (_, xml, confirmed) => {
  const { watch, answer } = attach(50);
  const outcome = watch('1').confirm();
  answer(xml);
  expect(await outcome).toBe(confirmed);
});

const ejabberds = `type='error'><error type='cancel'><item-not-found ${stanzas}/></error>`;

test('pings answered with errors of the remote server, whose bounces may come later', async () => {
  const { watch, answer } = attach(30_000);
  const outcome = watch('1').confirm();
  answer(ejabberds);
  answer(ejabberds);
  expect(await outcome).toBe('server');
});

test('a bounce between the two pings', async () => {
  const { watch, answer, bounce } = attach(30_000);
  const outcome = watch('1').confirm();
  answer(ejabberds);
  bounce('1');
  await expect(outcome).rejects.toMatchObject({ code: 'bounced' });
});

test.each([
  ['many others', (index: number) => `other ${index}`, 20_000],
  ['many with its id', () => '1', 100],
])(
  'a message that had to make room for %s is not confirmed by the remote server',
  async (_, idOf, count) => {
    const { watch, answer } = attach(5000);
    const outcome = watch('1').confirm();
    for (let index = 0; index < count; index += 1) watch(idOf(index));
    answer("type='result'>");
    expect(await outcome).toBe('server');
  },
);

test('a bounce is never charged to an equal message that our server has processed', async () => {
  const { watch, bounce } = attach(30_000);
  const processed = watch('1').confirm();
  watch('1');
  expect(await processed).toBe('server');
  expect(bounce('1')).toBe(false);
});
