import { parse } from 'ltx';
import { expect, test } from 'vitest';
import type { ComponentConnection } from '../../../../src/xmpp/stream/connection.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';

function createConnection(): ComponentConnection & { readonly written: string[] } {
  const written: string[] = [];
  return {
    written,
    write: (xml) => void written.push(xml),
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  };
}

function create() {
  const stream = new StreamHandle();
  const connection = createConnection();
  stream.attach(connection);
  const read: string[] = [];
  const answer = (id: string): void => stream.receive(parse(`<iq type='result' id='${id}'/>`));
  return { stream, connection, read, answer };
}

test('a stanza goes to the readers of its kind, until one takes it', () => {
  const { stream, read } = create();
  const reader = (name: string, takes: boolean) => () => {
    read.push(name);
    return takes;
  };
  stream.route({
    bounce: [reader('bounce 1', false), reader('bounce 2', true), reader('bounce 3', true)],
    message: [reader('message', true)],
    presence: [reader('presence', true)],
  });
  for (const xml of [
    "<message type='error'/>",
    "<message type='chat'/>",
    "<presence type='error'/>",
    "<iq type='result' id='1'/>",
    '<handshake/>',
  ]) {
    stream.receive(parse(xml));
  }
  expect(read).toEqual(['bounce 1', 'bounce 2', 'message', 'presence']);
});

test('an answer goes to its question, until the question is forgotten', () => {
  const { stream, read, answer } = create();
  for (const id of ['a', 'b']) stream.expect(id, () => read.push(id));
  answer('a');
  answer('c');
  stream.receive(parse("<iq type='result'/>"));
  stream.forget('a');
  for (const id of ['a', 'b']) answer(id);
  expect(read).toEqual(['a', 'b']);
});

test('an answer never belongs to a question of an earlier stream', () => {
  const { stream, read, answer } = create();
  stream.expect('a', () => read.push('a'));
  stream.detach();
  stream.expect('b', () => read.push('b'));
  stream.attach(createConnection());
  for (const id of ['a', 'b']) answer(id);
  expect(read).toEqual([]);
});

test('without a stream nothing is written', () => {
  const { stream, connection } = create();
  stream.write('<presence/>');
  stream.detach();
  stream.write('<presence/>');
  expect(connection.written).toHaveLength(1);
  expect([stream.isOpen(), stream.isBlocked()]).toEqual([false, true]);
});
