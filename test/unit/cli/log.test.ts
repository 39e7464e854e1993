import type { write } from 'node:fs';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPrettyLog, LogStream } from '../../../src/cli/log.ts';

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
  const stream = new LogStream(1, (lines) => lost.push(lines));
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
  return {
    write: (text: string) => stream.write(text),
    end: (timeoutMs: number) => stream.end(timeoutMs),
    next,
    lost,
  };
}

test('lines are collected and written in batches, one after the other', () => {
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

test('a batch that was written in part is completed', () => {
  const { write, next, lost } = open();
  write('größer\n');
  next().take(4);
  const rest = next();
  expect(rest.text).toBe('ßer\n');
  rest.take();
  expect(lost).toEqual([]);
});

test('waits for a reader that takes nothing now', () => {
  const { write, next, lost } = open();
  write('1\n');
  next().fail('EAGAIN');
  const again = next();
  expect(again.text).toBe('1\n');
  again.take();
  expect(lost).toEqual([]);
});

test.each(['ENOSPC', 'EIO', 'EPIPE'])(
  'counts the lines lost to %s and reports them once it is over',
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

test('a stalled reader does not fill the memory', () => {
  const { write, next, lost } = open();
  write('first\n');
  const first = next();
  const line = `${'x'.repeat(1024 * 1024 - 1)}\n`;
  for (let lines = 0; lines < 20; lines += 1) write(line);
  first.take();
  expect(lost).toEqual([4]);
  expect(next().text).toBe(line.repeat(16));
});

test('waits for the reader at the end', async () => {
  expect(await open().end(1000)).toBe(true);
  const { write, end, next } = open();
  write('1\n');
  const ended = end(1000);
  const first = next();
  first.take(1);
  next().take();
  expect(await ended).toBe(true);
});

test('gives up on a reader that takes nothing before the deadline', async () => {
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

test('reports a write in which the system is still blocked', async () => {
  const { write, end } = open();
  write('1\n');
  const ended = end(1000);
  await vi.advanceTimersByTimeAsync(2000);
  expect(await ended).toBe(false);
});

const time = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();
async function format(fields: object, isColoured = false): Promise<string> {
  const written: string[] = [];
  const stream = await createPrettyLog({ write: (text) => written.push(text) }, isColoured);
  stream.write(`${JSON.stringify({ level: 30, time, ...fields })}\n`);
  return written.join('');
}

test('a pretty line is time, level, message and fields', async () => {
  const fields = { method: 'POST', status: 200, reason: 'two words', msg: 'request' };
  expect(await format(fields)).toBe(
    '[03:04:05.006] INFO: request {"method":"POST","status":200,"reason":"two words"}\n',
  );
});

test('advice and stacks keep their lines', async () => {
  expect(await format({ level: 40, msg: 'down', advice: 'Do:\n\n  this', attempt: 1 })).toBe(
    '[03:04:05.006] WARN: down {"attempt":1}\n    advice: Do:\n    \n      this\n',
  );
  const err = { type: 'Error', message: 'oh', stack: 'Error: oh\n    at x' };
  expect(await format({ level: 50, msg: 'internal error', err })).toMatch(
    /^\[[\d:.]+\] ERROR: internal error \n[^]*\n +Error: oh\n +at x\n/,
  );
});

test.each(['\u001b[2J', '\u009b2J', 'a\nb', 'a\u202eb', '"'])(
  'a pretty line shows %j escaped',
  async (user) => {
    const line = await format({ level: 40, user, msg: 'login failed' });
    expect(line).toMatch(/^[\x20-\x7e]+\n$/);
    expect(line).toContain(
      JSON.stringify({ user }).replace(
        /[\u007f-\uffff]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      ),
    );
    const err = { type: 'Error', message: user, stack: user };
    expect(await format({ level: 50, err, msg: 'internal error' })).toMatch(/^[\x20-\x7e\n]+$/);
    const advice = `${user}\n${user}`;
    expect(await format({ level: 40, advice, msg: 'refused' })).toMatch(/^[\x20-\x7e\n]+$/);
  },
);

test('colours do not change the text', async () => {
  const fields = { status: 503, msg: 'request' };
  const coloured = await format(fields, true);
  expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(await format(fields));
  expect(coloured).toContain('\u001b[32mINFO');
});

test('is a destination of pino', async () => {
  const written: string[] = [];
  const stream = await createPrettyLog({ write: (text) => written.push(text) }, false);
  pino({ base: null }, stream).warn({ err: new Error('oh') }, 'failed');
  expect(written.join('')).toMatch(/^\[[\d:.]{12}\] WARN: failed \n[^]*Error: oh\n/);
});
