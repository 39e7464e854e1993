import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { parseJson } from '../../../src/core/json.ts';
import { serializeMessage } from '../../../src/core/message.ts';
import { readMessageFromJson } from '../../../src/core/message-from-json.ts';
import { parseMessageFromXml } from '../../../src/core/message-from-xml.ts';
import { decodeUtf8 } from '../../../src/core/utf8.ts';
import { createRemoteConfirmation } from '../../../src/xmpp/remote-confirmation.ts';
import { context } from '../core/message-context.ts';

const limits = { stanzaBytes: 200_000, depth: 8, attributes: 8 };
const text = 'x'.repeat(100_000);

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

test.each([
  [
    'JSON',
    (id: string) =>
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
    (id: string) =>
      parseMessageFromXml(
        decodeUtf8(
          Buffer.from(
            `<message id='${id}' to='a-long-name@remote.example'><body>${text}</body></message>`,
          ),
        ),
        { ...context, limits },
      ),
  ],
])('of a message that came as %s its text is not kept', (_, read) => {
  const remote = createRemoteConfirmation({ timeoutMs: 0, log: pino({ enabled: false }) });
  const before = heapUsed();
  for (let index = 0; index < 200; index += 1) {
    remote.watch(serializeMessage(read(`an-id-of-the-caller-${index}`), limits));
  }
  // All texts together are 20 MB.
  expect(heapUsed() - before).toBeLessThan(5_000_000);
  // Until here it is watched.
  remote.detach();
});
