import { expect, test } from 'vitest';
import { Backlog } from '../../../../src/cli/send/backlog.ts';

function add(backlog: Backlog, line: number, bytes = 2): void {
  const message = Buffer.alloc(bytes);
  backlog.add({ line, source: message, message }, message);
}

function takeLines(backlog: Backlog): number[] {
  const lines: number[] = [];
  for (let item = backlog.take(); item !== undefined; item = backlog.take()) {
    lines.push(item.record.line);
  }
  return lines;
}

test('what was sent and not answered is next, and the first without an answer is known', () => {
  const backlog = new Backlog();
  for (const line of [3, 5, 8]) add(backlog, line);
  const sent = [backlog.take(), backlog.take()].flatMap((item) => item ?? []);
  backlog.putBack(sent);
  expect(takeLines(backlog)).toEqual([3, 5, 8]);
  expect([backlog.hasNext, backlog.isEmpty, backlog.firstLine]).toEqual([false, false, 3]);
  expect([backlog.remove(3), backlog.remove(3), backlog.firstLine]).toEqual([true, false, 5]);
});

test('a message is sent again after longer and longer pauses, of at most 10 s', () => {
  const backlog = new Backlog();
  add(backlog, 1);
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const item = backlog.take();
    if (item === undefined) throw new Error('expected a message to send');
    backlog.postpone(item, 0);
    backlog.wake(item.dueAt - 1);
    expect(backlog.hasNext).toBe(false);
    backlog.wake(item.dueAt);
    pauses.push(item.dueAt);
  }
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
});

test.each([
  ['messages', 2048, 2],
  ['bytes', 4, 1_048_576],
])('it is full with many %s, until one has its answer', (_, count, bytes) => {
  const backlog = new Backlog();
  for (let line = 1; line < count; line += 1) add(backlog, line, bytes);
  expect(backlog.isFull).toBe(false);
  add(backlog, count, bytes);
  expect(backlog.isFull).toBe(true);
  backlog.remove(1);
  expect(backlog.isFull).toBe(false);
});

test('once it has stopped, nothing is to be sent', () => {
  const backlog = new Backlog();
  add(backlog, 1);
  add(backlog, 2);
  const item = backlog.take();
  if (item !== undefined) backlog.postpone(item, 0);
  backlog.stop();
  backlog.wake(Number.POSITIVE_INFINITY);
  expect([backlog.hasNext, backlog.firstLine]).toEqual([false, 1]);
});
