import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createDropLog } from '../../../../src/http/server/connections.ts';

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
