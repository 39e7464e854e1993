import { Socket } from 'node:net';
import { component } from '@xmpp/component';
import { expect, test, vi } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { makeSturdy, openComponentConnection } from '../../../../src/xmpp/stream/connection.ts';
import type { StreamFailure } from '../../../../src/xmpp/wire/stream-failure.ts';
import {
  answerHonestly,
  type ComponentServer,
  startComponentServer,
} from '../../../support/doubles/component-server.ts';

const message = `<message from='alice@example.org' to='bob@example.org'/>`;

/** Resolves once the component is online. */
function connect(
  server: ComponentServer,
  events: { readonly onStanza?: () => void; readonly onClose?: (failure: StreamFailure) => void },
): Promise<ReturnType<typeof openComponentConnection>> {
  return new Promise((resolve) => {
    const opened = openComponentConnection(
      {
        host: '127.0.0.1',
        port: server.port,
        domain: 'gateway.example.org',
        secret: new Secret('secret'),
      },
      {
        onOnline: () => resolve(opened),
        onStanza: () => events.onStanza?.(),
        answerRequest: () => undefined,
        onDrain: () => {},
        onClose: (failure) => events.onClose?.(failure),
      },
    );
  });
}

test('a write is not held back until the one before it is acknowledged', async () => {
  const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
  const server = await startComponentServer(answerHonestly);
  const connection = await connect(server, {});
  // Nagle's algorithm (RFC 896) would cost each barrier 40 ms.
  const { calls, contexts } = setNoDelay.mock;
  const isOwn = (socket: unknown): boolean =>
    socket instanceof Socket && socket.remotePort === server.port;
  expect(calls.filter((_, index) => isOwn(contexts[index]))).toEqual([[true]]);
  setNoDelay.mockRestore();
  await connection.close();
  await server.stop();
});

const streamErrors = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";

test.each([
  ['its end', '</stream:stream>', 'the XMPP server closed the stream'],
  ['its end and more', '</stream:stream></a><b/>', 'the XMPP server closed the stream'],
  [
    'the name of another host',
    `<stream:error><see-other-host ${streamErrors}>127.0.0.1:9</see-other-host></stream:error></stream:stream>`,
    'see-other-host',
  ],
  ['tags that do not match', '<a></b></c>', 'a must be closed.'],
  ['an entity that is unknown', '<message>&foo;</message>', 'Illegal XML entity &foo;'],
  [
    'a character that does not exist',
    '<message>&#x110000;</message>',
    'Illegal XML character 0x110000',
  ],
])('a stream on which comes %s is closed, though the socket stays open', async (_, xml, reason) => {
  const server = await startComponentServer((_stanza, _kind, peer) => peer.send(xml));
  let onClose: (failure: StreamFailure) => void = () => {};
  const failure = new Promise<StreamFailure>((resolve) => {
    onClose = resolve;
  });
  const connection = await connect(server, { onClose });
  connection.write(message);
  expect(await failure).toMatchObject({ kind: 'unreachable', reason });
  connection.write(message);
  await connection.close();
  await server.stop();
});

test('closing it is reported as such', async () => {
  const server = await startComponentServer(answerHonestly);
  const failures: StreamFailure[] = [];
  const connection = await connect(server, { onClose: (failure) => failures.push(failure) });
  await connection.close();
  expect(failures).toEqual([{ kind: 'unreachable', reason: 'the gateway closed the stream' }]);
  await server.stop();
});

const { Parser } = component({ service: '', domain: 'gateway.example.org', password: '' });
const SturdyParser = makeSturdy(Parser);

const stream =
  "<?xml version='1.0'?><stream:stream id='1'><message><body>Really? Yes??</body></message>";

/** What a parser reads when the stream comes in these pieces. */
function read(pieces: readonly string[]): string[] {
  const parser = new SturdyParser();
  const elements: string[] = [];
  parser.on('start', (element) => elements.push(String(element.attrs.id)));
  parser.on('element', (element) => elements.push(String(element)));
  for (const piece of pieces) parser.write(piece);
  return elements;
}

test('reads the stream wherever it is cut in two', () => {
  const whole = ['1', '<message><body>Really? Yes??</body></message>'];
  for (let cut = 0; cut <= stream.length; cut += 1) {
    expect(read([stream.slice(0, cut), stream.slice(cut)]), `cut at ${cut}`).toEqual(whole);
  }
});

test('reads the stream character by character', () => {
  expect(read(stream.split(''))).toEqual(['1', '<message><body>Really? Yes??</body></message>']);
});

/** The events of a parser that gets these pieces. */
function eventsOf(...pieces: readonly string[]): string[] {
  const parser = new SturdyParser();
  const events: string[] = [];
  parser.on('element', (element) => events.push(element.name));
  parser.on('end', () => events.push('end'));
  parser.on('error', (error) => events.push(error.message));
  for (const piece of pieces) parser.write(piece);
  return events;
}

test('what the library throws becomes an error event, and the last event', () => {
  expect(eventsOf('<stream>', '<a/>&foo;<b/>', '<c/>')).toEqual(['a', 'Illegal XML entity &foo;']);
  expect(eventsOf('<stream>', '<a>&#x110000;</a>', '<c/>')).toEqual([
    'Illegal XML character 0x110000',
  ]);
});

test('nothing is read after the end', () => {
  expect(eventsOf('<stream>', '<a/></stream>', '<b/>')).toEqual(['a', 'end']);
});

test('nobody needs to listen', () => {
  const parser = new SturdyParser();
  for (const piece of ['<stream>', '</a>&foo;', '&foo;']) parser.write(piece);
});
