import type { write } from 'node:fs';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLogStream, createPrettyLog, formatLogLine } from '../../../src/cli/log.ts';

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

const time = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();
const format = (fields: object, isColoured = false): string =>
  formatLogLine(`${JSON.stringify({ level: 30, time, ...fields })}\n`, isColoured);

test('a line is time, level, message and fields', () => {
  const fields = {
    method: 'POST',
    status: 200,
    sender: 'a@b.c',
    reason: 'two words',
    msg: 'request',
  };
  expect(format(fields)).toBe(
    '03:04:05.006 info  request method=POST status=200 sender=a@b.c reason="two words"\n',
  );
});

test('advice and stacks stand below, with lines of their own', () => {
  expect(format({ level: 40, msg: 'down', advice: 'Do:\n\n  this', attempt: 1 })).toBe(
    '03:04:05.006 warn  down attempt=1\n    Do:\n\n      this\n',
  );
  const err = { type: 'Error', message: 'oh', stack: 'Error: oh\n    at x' };
  expect(format({ level: 50, msg: 'internal error', err })).toBe(
    '03:04:05.006 error internal error err=oh\n    Error: oh\n        at x\n',
  );
});

test.each(['\u001b[2J', '\u009b2J', 'a\nb', 'a\u202eb', '"'])('is not steered by %j', (user) => {
  const line = format({ level: 40, user, msg: 'login failed' });
  expect(line).toMatch(/^[\x20-\x7e]+\n$/);
  expect(line.match(/user=(.*)\n/)?.[1]).toBe(
    JSON.stringify(user).replace(
      /[\u007f-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  );
});

test('in colour it is the same text', () => {
  const fields = { status: 503, msg: 'request' };
  expect(format(fields, true).replaceAll(/\u001b\[\d+m/g, '')).toBe(format(fields));
  expect(format({ level: 50, msg: 'm' }, true)).toContain('\u001b[31merror');
});

test.each(['no JSON\n', '{}\n', '[1]\n', 'null\n'])('%j stays as it is', (line) => {
  expect(formatLogLine(line, false)).toBe(line);
});

test('is a destination of pino', () => {
  const written: string[] = [];
  const log = pino({ base: null }, createPrettyLog({ write: (text) => written.push(text) }, false));
  log.warn({ err: new Error('oh') }, 'failed');
  expect(written.join('')).toMatch(/^[\d:.]{12} warn {2}failed err=oh\n {4}Error: oh\n/);
});
