import type { write } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLogStream } from '../../../src/cli/log.ts';

type Callback = (error: NodeJS.ErrnoException | null, count: number) => void;

const writes: { readonly text: string; readonly end: Callback }[] = [];

vi.mock(import('node:fs'), async (importOriginal) => {
  const fake = (_fd: number, bytes: Buffer, end: Callback): void => {
    writes.push({ text: bytes.toString(), end });
  };
  return { ...(await importOriginal()), write: fake as typeof write };
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  writes.splice(0);
});

function open() {
  const lost: number[] = [];
  const stream = createLogStream(1, (lines) => lost.push(lines));
  const next = () => {
    vi.advanceTimersByTime(200);
    expect(writes).toHaveLength(1);
    const { text, end } = writes.pop()!;
    return {
      text,
      take: (bytes = Buffer.byteLength(text)) => end(null, bytes),
      fail: (code: string) => end(Object.assign(new Error(code), { code }), 0),
    };
  };
  return { write: (text: string) => stream.write(text), end: stream.end, next, lost };
}

test('lines are gathered, and written one batch after the other', () => {
  const { write, next } = open();
  write('1\n');
  write('2\n');
  const first = next();
  expect(first.text).toBe('1\n2\n');
  write('3\n');
  vi.advanceTimersByTime(1000);
  expect(writes).toEqual([]);
  first.take();
  expect(next().text).toBe('3\n');
});

test('what was taken in part is completed', () => {
  const { write, next, lost } = open();
  write('größer\n');
  next().take(4);
  const rest = next();
  expect(rest.text).toBe('ßer\n');
  rest.take();
  expect(lost).toEqual([]);
});

test('a reader that takes nothing now is waited for', () => {
  const { write, next, lost } = open();
  write('1\n');
  next().fail('EAGAIN');
  const again = next();
  expect(again.text).toBe('1\n');
  again.take();
  expect(lost).toEqual([]);
});

test.each(['ENOSPC', 'EIO', 'EPIPE'])(
  'what %s costs is counted, and told when it is over',
  (code) => {
    const { write, next, lost } = open();
    write('1\n2\n');
    const first = next();
    write('3\n');
    first.fail(code);
    next().fail(code);
    expect(lost).toEqual([]);
    write('4\n');
    next().take();
    expect(lost).toEqual([3]);
    write('5\n');
    next().take();
    expect(lost).toEqual([3]);
  },
);

test('a reader that stands still does not fill the memory', () => {
  const { write, next, lost } = open();
  write('first\n');
  const first = next();
  const line = `${'x'.repeat(1024 * 1024 - 1)}\n`;
  for (let lines = 0; lines < 20; lines += 1) write(line);
  first.take();
  expect(lost).toEqual([4]);
  expect(next().text).toBe(line.repeat(16));
});

test('at the end the reader is waited for', async () => {
  expect(await open().end(1000)).toBe(true);
  const { write, end, next } = open();
  write('1\n');
  const ended = end(1000);
  const first = next();
  first.take(1);
  next().take();
  expect(await ended).toBe(true);
});

test('a reader that takes nothing is not waited for longer than was said', async () => {
  const { write, end, next } = open();
  write('1\n');
  const ended = end(1000);
  next().fail('EAGAIN');
  await vi.advanceTimersByTimeAsync(1000);
  next().fail('EAGAIN');
  expect(await ended).toBe(true);
  vi.advanceTimersByTime(10_000);
  expect(writes).toEqual([]);
});

test('a write that the system holds on to is said to keep the process', async () => {
  const { write, end } = open();
  write('1\n');
  const ended = end(1000);
  await vi.advanceTimersByTimeAsync(2000);
  expect(await ended).toBe(false);
});
