import { parse } from 'ltx';
import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { Lane, type Passage } from '../../../../src/xmpp/delivery/lane.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';

const component = 'gateway.example.org';

function createMessage(id: string) {
  const [from, to] = ['alice@example.org/http-1', 'bob@example.org'].map(parseJid);
  if (from === undefined || to === undefined) throw new Error('expected two addresses');
  const stanza = {
    id,
    caller: 'a',
    from,
    to,
    xml: '<message/>',
    bytes: 10,
    heldBytes: 10,
    isWrapped: false,
    isGroupchat: false,
  };
  return { stanza, deadline: 0, settle: () => {}, isSettled: false, isBounced: false };
}

/** A lane on an open stream, and the passages that its barriers lead to. */
function createLane() {
  const stream = new StreamHandle();
  stream.attach({
    write: () => {},
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  });
  const passages: Passage[] = [];
  const lane = new Lane({
    domain: 'example.org',
    kind: 'module',
    component,
    stream,
    onPassage: (_lane, passage) => passages.push(passage),
  });
  const answer = (id: string, payload: string): void =>
    stream.receive(
      parse(`<iq type='result' id='${id}' from='example.org' to='${component}'>${payload}</iq>`),
    );
  return { lane, passages, answer };
}

const module = "<gateway xmlns='urn:xmpp-message-gateway:0' version='1'/>";

test('once an answer has said that the module is gone, a later one confirms nothing', () => {
  const { lane, passages, answer } = createLane();
  for (const id of ['1', '2']) {
    lane.add(createMessage(id));
    lane.raise(`barrier-${id}`);
  }
  answer('barrier-1', '');
  answer('barrier-2', module);
  expect(passages).toMatchObject([{ answer: 'module-gone', confirmed: [] }]);
  expect(lane.takeAll()).toHaveLength(2);
});

test('an answer confirms what was written before its barrier, and nothing else', () => {
  const { lane, passages, answer } = createLane();
  lane.add(createMessage('1'));
  lane.raise('barrier-1');
  lane.add(createMessage('2'));
  answer('barrier-1', module);
  expect(passages[0]?.confirmed.map(({ stanza }) => stanza.id)).toEqual(['1']);
  expect(lane.isUncovered()).toBe(true);
});

test('after a change of the mode each barrier is read as what it was', () => {
  const { lane, passages, answer } = createLane();
  lane.kind = 'ping';
  lane.add(createMessage('1'));
  expect(lane.raise('barrier-1')).toContain('urn:xmpp:ping');
  lane.kind = 'module';
  lane.add(createMessage('2'));
  expect(lane.raise('barrier-2')).toContain('urn:xmpp-message-gateway:0');
  // From the domain itself, as only the module answers: not the ping's.
  answer('barrier-1', module);
  expect(passages).toEqual([]);
  answer('barrier-2', module);
  expect(passages[0]?.confirmed.map(({ stanza }) => stanza.id)).toEqual(['1', '2']);
});

test('an answer counts once, and those to older barriers count no more', () => {
  const { lane, passages, answer } = createLane();
  for (const id of ['1', '2']) {
    lane.add(createMessage(id));
    lane.raise(`barrier-${id}`);
  }
  for (const id of ['barrier-2', 'barrier-2', 'barrier-1']) answer(id, module);
  expect(passages).toHaveLength(1);
  expect(passages[0]?.confirmed).toHaveLength(2);
});
