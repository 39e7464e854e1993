import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPrettyLog, formatLogLine } from '../../../src/cli/pretty-log.ts';

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
