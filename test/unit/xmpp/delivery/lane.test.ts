import { parse } from 'ltx';
import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { Lane } from '../../../../src/xmpp/delivery/lane.ts';

const component = 'gateway.example.org';

function createEntry(id: string) {
  const [from, to] = ['alice@example.org/http-1', 'bob@example.org'].map(parseJid);
  if (from === undefined || to === undefined) throw new Error('expected two addresses');
  const stanza = { id, caller: 'a', from, to, xml: '<message/>', bytes: 10, isWrapped: false };
  return { stanza, deadline: 0, settle: () => {}, isSettled: false, isBounced: false };
}

const answer = (id: string, payload: string) =>
  parse(`<iq type='result' id='${id}' from='example.org' to='${component}'>${payload}</iq>`);
const module = "<gateway xmlns='urn:xmpp-message-gateway:0' version='1'/>";

test('behind an answer that the module is gone, a later one confirms nothing', () => {
  const lane = new Lane('example.org', 'module', component);
  for (const id of ['1', '2']) {
    lane.add(createEntry(id));
    lane.raise(`barrier-${id}`);
  }
  expect(lane.pass(answer('barrier-1', ''))).toMatchObject({ answer: 'module-gone' });
  expect(lane.pass(answer('barrier-2', module))).toBeUndefined();
  expect(lane.takeAll()).toHaveLength(2);
});

test('an answer confirms what was written before its barrier, and nothing else', () => {
  const lane = new Lane('example.org', 'module', component);
  lane.add(createEntry('1'));
  lane.raise('barrier-1');
  lane.add(createEntry('2'));
  const passage = lane.pass(answer('barrier-1', module));
  expect(passage?.confirmed.map(({ stanza }) => stanza.id)).toEqual(['1']);
  expect(lane.isUncovered()).toBe(true);
});
