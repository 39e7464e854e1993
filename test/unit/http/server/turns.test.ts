import { expect, it } from 'vitest';
import { createTurns, type Rank } from '../../../../src/http/server/turns.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('runs all that is for messages first, and at least the oldest task of the other ranks', async () => {
  const ran: string[] = [];
  const turns = createTurns(0);
  const add = (name: string, rank: Rank): void => turns.add(() => void ran.push(name), rank);
  for (const rank of ['other', 'chunks', 'message'] as const) {
    add(`${rank} 1`, rank);
    add(`${rank} 2`, rank);
  }
  expect(ran).toEqual([]);
  await nextTurn();
  expect(ran).toEqual(['message 1', 'message 2', 'chunks 1', 'other 1']);
  add('message 3', 'message');
  await nextTurn();
  expect(ran.slice(4)).toEqual(['message 3', 'chunks 2', 'other 2']);
});

it('runs one message in a short turn, and the rest after it in their order', async () => {
  const ran: string[] = [];
  const turns = createTurns(0);
  const add = (name: string): void => turns.add(() => void ran.push(name), 'message');
  turns.add(() => {
    ran.push('first');
    add('last');
  }, 'message');
  add('second');
  turns.shorten();
  await nextTurn();
  expect(ran).toEqual(['first']);
  await nextTurn();
  expect(ran).toEqual(['first', 'second', 'last']);
});

it('runs many in one turn, as long as they take no time', async () => {
  let ran = 0;
  const turns = createTurns(10_000);
  for (let count = 0; count < 100; count += 1) turns.add(() => (ran += 1), 'other');
  await nextTurn();
  expect(ran).toBe(100);
});

it('runs what a task adds in a later turn', async () => {
  const ran: string[] = [];
  const turns = createTurns();
  turns.add(() => {
    turns.add(() => void ran.push('inner'), 'message');
    ran.push('outer');
  }, 'message');
  await nextTurn();
  expect(ran).toEqual(['outer']);
  await nextTurn();
  expect(ran).toEqual(['outer', 'inner']);
});
