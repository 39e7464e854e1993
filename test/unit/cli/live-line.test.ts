import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { showLine, withProgress } from '../../../src/cli/live-line.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A screen, and what has been written to it. */
function openScreen(isTTY: boolean, columns = 80) {
  const screen = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY, columns });
  return { screen, read: (): string => String(screen.read() ?? '') };
}

test.each([
  ['that is quick', true, 1900, ''],
  ['elsewhere than on a terminal', false, 10_000, ''],
  ['on a terminal', true, 3500, '\r\u001b[KTesting … 2 s\r\u001b[KTesting … 3 s\r\u001b[K'],
])('the progress of work %s', async (_what, isTTY, durationMs, shown) => {
  const { screen, read } = openScreen(isTTY);
  const work = defer();
  const result = withProgress('Testing', screen, work.promise);
  vi.advanceTimersByTime(durationMs);
  work.resolve('done');
  expect(await result).toBe('done');
  expect(read()).toBe(shown);
});

test('a failure clears the line, too', async () => {
  const { screen, read } = openScreen(true);
  const work = defer();
  const result = withProgress('Testing', screen, work.promise);
  vi.advanceTimersByTime(2000);
  work.reject(new Error('no'));
  await expect(result).rejects.toThrow('no');
  expect(read()).toBe('\r\u001b[KTesting … 2 s\r\u001b[K');
});

test.each([
  [8, '123456789', '123456…'],
  [0, '123456789', '123456789'],
])('a line is shortened to the width of the screen: %i', (columns, text, shown) => {
  const { screen, read } = openScreen(true, columns);
  showLine(screen, text);
  expect(read()).toBe(`\r\u001b[K${shown}`);
});

function defer() {
  let resolve!: (value: unknown) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
