import { parse } from 'ltx';
import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { pingRecipientServer } from '../../../../src/xmpp/delivery/remote-ping.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';

const sender = 'juliet@example.org/http-x';
const server = 'remote.example/gateway';
const stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";

/** Pings the server of bob@remote.example; `answer` answers the next ping. */
function ping() {
  const stream = new StreamHandle();
  const pings: Readonly<Record<string, string>>[] = [];
  stream.attach({
    write: (xml) => pings.push(parse(xml).attrs),
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  });
  const proven: boolean[] = [];
  const message = { from: parseJid(sender), to: parseJid('bob@remote.example') };
  const stop = pingRecipientServer(stream, message, (isProven) => proven.push(isProven));
  const answer = (xml: string, from = server): void => {
    const id = pings.at(-1)?.['id'];
    stream.receive(parse(`<iq id='${id}' from='${from}' to='${sender}' ${xml}</iq>`));
  };
  return { pings, proven, answer, stop };
}

const result = "type='result'>";
const error = (type: string, conditions: string): string =>
  `type='error'><error type='${type}'>${conditions}</error>`;
const ejabberds = error('cancel', `<item-not-found ${stanzas}/>`);

test('a result proves it', () => {
  const { pings, proven, answer } = ping();
  expect(pings).toMatchObject([{ type: 'get', from: sender, to: server }]);
  answer(result);
  expect(proven).toEqual([true]);
});

test('errors of the remote server, whose bounces may come later, prove nothing', () => {
  const { pings, proven, answer } = ping();
  answer(ejabberds);
  expect(proven).toEqual([]);
  answer(ejabberds);
  expect([pings.length, proven]).toEqual([2, [false]]);
});

test.each([
  [
    'our own server, which cannot reach it',
    error('cancel', `<remote-server-not-found ${stanzas}/>`),
  ],
  ['our own server, whose queue is full', error('wait', `<resource-constraint ${stanzas}/>`)],
  [
    'the module of our own server, which refuses the sender',
    error('auth', `<forbidden ${stanzas}/><sender-refused xmlns='urn:xmpp-message-gateway:0'/>`),
  ],
])('an error of %s is no answer', (_, xml) => {
  const { pings, proven, answer } = ping();
  answer(xml);
  expect([pings.length, proven]).toEqual([1, []]);
  answer(result);
  expect(proven).toEqual([true]);
});

test('what comes from elsewhere, or too late, is no answer', () => {
  const { proven, answer, stop } = ping();
  answer(result, 'remote.example');
  answer(ejabberds);
  stop();
  answer(result);
  expect(proven).toEqual([]);
});
