import { expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { FairQueue } from '../../../../src/xmpp/delivery/fair-queue.ts';
import type { PendingMessage } from '../../../../src/xmpp/delivery/lane.ts';

function entry(id: string, caller: string, deadline = 1, bytes = 10): PendingMessage {
  const address = parseJid('alice@example.org');
  return {
    stanza: {
      id,
      caller,
      from: address,
      to: address,
      xml: '',
      bytes,
      heldBytes: bytes,
      isWrapped: false,
      isGroupchat: false,
    },
    deadline,
    settle: () => {},
    isSettled: false,
    isBounced: false,
  };
}

function fill(...messages: readonly (readonly [string, string, number?])[]) {
  const queue = new FairQueue();
  for (const [id, caller, deadline] of messages) queue.add(entry(id, caller, deadline));
  const ids = (): string[] => {
    const taken: string[] = [];
    for (let next = queue.take(); next !== undefined; next = queue.take()) {
      taken.push(next.stanza.id);
    }
    return taken;
  };
  return { queue, ids };
}

test('callers take turns, and the messages of each keep their order', () => {
  const { queue, ids } = fill(['a1', 'a'], ['a2', 'a'], ['a3', 'a'], ['b1', 'b'], ['c1', 'c']);
  expect(queue.peek()?.stanza.id).toBe('a1');
  expect(queue.count).toBe(5);
  expect(queue.bytes).toBe(50);
  expect(ids()).toEqual(['a1', 'b1', 'c1', 'a2', 'a3']);
  expect([queue.count, queue.bytes, queue.peek()]).toEqual([0, 0, undefined]);
});

test('a new caller has its turn before the second turn of the others', () => {
  const { queue, ids } = fill(['a1', 'a'], ['a2', 'a'], ['b1', 'b'], ['b2', 'b']);
  queue.take();
  queue.add(entry('c1', 'c'));
  expect(ids()).toEqual(['b1', 'a2', 'c1', 'b2']);
});

test('the newest message of the caller with the most gives way to a caller with fewer', () => {
  const { queue, ids } = fill(['a1', 'a'], ['a2', 'a'], ['a3', 'a'], ['b1', 'b']);
  const takeFor = (caller: string) =>
    queue.takeFromLargest({ caller, heldBytes: 1000 }, 'count')?.stanza.id;
  expect(takeFor('a')).toBeUndefined();
  expect(takeFor('b')).toBe('a3');
  expect(takeFor('b')).toBeUndefined();
  expect(takeFor('c')).toBe('a2');
  expect(takeFor('c')).toBeUndefined();
  expect(ids()).toEqual(['a1', 'b1']);
});

test('by bytes, the caller with the most bytes gives way, not the one with the most messages', () => {
  const { queue, ids } = fill(['a1', 'a'], ['a2', 'a'], ['a3', 'a']);
  for (const id of ['b1', 'b2']) queue.add(entry(id, 'b', 1, 100));
  const takeFor = (caller: string, bytes: number) =>
    queue.takeFromLargest({ caller, heldBytes: bytes }, 'bytes')?.stanza.id;
  expect(takeFor('b', 1)).toBeUndefined();
  expect(takeFor('c', 200)).toBeUndefined();
  expect(takeFor('a', 100)).toBe('b2');
  expect(takeFor('a', 100)).toBeUndefined();
  expect(takeFor('a', 10)).toBe('b1');
  expect([queue.count, queue.bytes]).toEqual([3, 30]);
  expect(ids()).toEqual(['a1', 'a2', 'a3']);
});

test('expired messages of every caller are taken out', () => {
  const { queue, ids } = fill(['a1', 'a', 1], ['a2', 'a', 3], ['b1', 'b', 2], ['c1', 'c', 4]);
  expect(queue.takeExpired(2).map(({ stanza }) => stanza.id)).toEqual(['a1', 'b1']);
  expect([queue.count, queue.bytes]).toEqual([2, 20]);
  expect(ids()).toEqual(['a2', 'c1']);
});
