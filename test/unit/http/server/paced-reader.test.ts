import { expect, it } from 'vitest';
import { createTurns } from '../../../../src/http/server/paced-reader.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('runs all preferred tasks first, and at least the oldest of the others', async () => {
  const ran: string[] = [];
  const turns = createTurns(0);
  const add = (name: string, isPreferred: boolean): void =>
    turns.add(() => void ran.push(name), isPreferred);
  add('a', false);
  add('b', false);
  add('first', true);
  add('second', true);
  expect(ran).toEqual([]);
  await nextTurn();
  expect(ran).toEqual(['first', 'second', 'a']);
  add('third', true);
  await nextTurn();
  expect(ran.slice(3)).toEqual(['third', 'b']);
});

it('runs many in one turn, as long as they take no time', async () => {
  let ran = 0;
  const turns = createTurns(10_000);
  for (let count = 0; count < 100; count += 1) turns.add(() => (ran += 1), false);
  await nextTurn();
  expect(ran).toBe(100);
});

it('runs what a task adds in a later turn', async () => {
  const ran: string[] = [];
  const turns = createTurns();
  turns.add(() => {
    turns.add(() => void ran.push('inner'), true);
    ran.push('outer');
  }, true);
  await nextTurn();
  expect(ran).toEqual(['outer']);
  await nextTurn();
  expect(ran).toEqual(['outer', 'inner']);
});
