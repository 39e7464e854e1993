import { expect, it } from 'vitest';
import {
  findConnectionLimit,
  parseConnectionLimit,
} from '../../../../src/http/server/connection-limit.ts';

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

it('has an answer where the system does not tell', () => {
  expect(parseConnectionLimit('')).toBe(10_000);
});

it('asks the system', () => {
  const limit = findConnectionLimit();
  expect(limit).toBeGreaterThan(0);
  expect(limit).toBeLessThanOrEqual(10_000);
});
