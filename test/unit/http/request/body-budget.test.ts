import { expect, it } from 'vitest';
import { type BodyReading, createBodyBudget } from '../../../../src/http/request/body-budget.ts';

function createCallers(maxBytes: number) {
  const budget = createBodyBudget(maxBytes);
  const refused: string[] = [];
  return {
    refused,
    begin: (caller: string, name: string): BodyReading =>
      budget.begin(caller, () => void refused.push(name)),
  };
}

it('refuses the newest reading of the caller who holds most', () => {
  const { begin, refused } = createCallers(100_000);
  const [a1, a2, a3] = ['a1', 'a2', 'a3'].map((name) => begin('a', name));
  const b = begin('b', 'b');
  a1?.add(30_000);
  a2?.add(30_000);
  b.add(20_000);
  expect(refused).toEqual([]);
  b.add(30_000);
  expect(refused).toEqual(['a2']);
  a3?.add(9_000);
  expect(refused).toEqual(['a2']);
});

it('refuses no reading that holds nothing, and none that has ended', () => {
  const { begin, refused } = createCallers(12_000);
  const first = begin('a', 'first');
  begin('a', 'empty');
  const ended = begin('a', 'ended');
  ended.add(9_000);
  ended.end();
  first.add(9_000);
  expect(refused).toEqual([]);
  first.add(9_000);
  expect(refused).toEqual(['first']);
  first.add(9_000);
  expect(refused).toEqual(['first']);
});

it('gives back what a reading held when it ends, once', () => {
  const { begin, refused } = createCallers(12_000);
  for (let count = 0; count < 10; count += 1) {
    const reading = begin('a', 'reading');
    reading.add(9_000);
    reading.end();
    reading.end();
  }
  expect(refused).toEqual([]);
});

it('counts what pieces take besides their bytes', () => {
  const { begin, refused } = createCallers(12_000);
  const reading = begin('a', 'pieces');
  for (let count = 0; count < 100; count += 1) reading.add(1);
  expect(refused).toEqual(['pieces']);
});
