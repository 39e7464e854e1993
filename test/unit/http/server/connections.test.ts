import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  createDropLog,
  findConnectionLimit,
  parseConnectionLimit,
} from '../../../../src/http/server/connections.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('writes the first at once, and one line for those of the next ten seconds', () => {
  const lines: unknown[] = [];
  const onDrop = createDropLog(pino({}, { write: (line) => void lines.push(JSON.parse(line)) }));
  onDrop('refused');
  expect(lines).toEqual([
    expect.objectContaining({ level: 40, msg: 'connections dropped', refused: 1 }),
  ]);
  for (let count = 0; count < 500; count += 1) onDrop('refused');
  onDrop('held');
  onDrop('displaced');
  vi.advanceTimersByTime(9_999);
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(lines[1]).toMatchObject({ refused: 500, held: 1, displaced: 1 });
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(2);
  expect(vi.getTimerCount()).toBe(0);
  onDrop('displaced');
  expect(lines[2]).toMatchObject({ displaced: 1 });
  expect(lines[2]).not.toHaveProperty('refused');
});

const line = (
  soft: string,
): string => `Limit                     Soft Limit           Hard Limit           Units     
Max processes             127                  127                  processes 
Max open files            ${soft.padEnd(21)}1048576              files     
Max locked memory         8388608              8388608              bytes     
`;

it.each([
  ['1048576', 10_000],
  ['10256', 10_000],
  ['10255', 9999],
  ['1024', 768],
  ['512', 256],
  ['100', 50],
  ['unlimited', 10_000],
])('%s files: %i connections', (files, connections) => {
  expect(parseConnectionLimit(line(files))).toBe(connections);
});

it('falls back to a default where the system has no such file', () => {
  expect(parseConnectionLimit('')).toBe(10_000);
});

it('reads the limit of the system', () => {
  const limit = findConnectionLimit();
  expect(limit).toBeGreaterThan(0);
  expect(limit).toBeLessThanOrEqual(10_000);
});
