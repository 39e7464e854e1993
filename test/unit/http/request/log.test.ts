import { expect, test } from 'vitest';
import { parseTraceId } from '../../../../src/http/request/log.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';

test.each([
  `00-${trace}-${parent}-01`,
  `00-${trace}-${parent}-00`,
  `01-${trace}-${parent}-01`,
  `01-${trace}-${parent}-01-what-the-future-has`,
])('%s has a trace id', (header) => {
  expect(parseTraceId(header)).toBe(trace);
});

test.each([
  undefined,
  '',
  trace,
  `00-${trace}-${parent}`,
  `00-${trace}-${parent}-01-more`,
  `01-${trace}-${parent}-01more`,
  `ff-${trace}-${parent}-01`,
  `00-${'0'.repeat(32)}-${parent}-01`,
  `00-${trace}-${'0'.repeat(16)}-01`,
  `00-${trace.toUpperCase()}-${parent}-01`,
  `00-${trace}-${parent}-01, 00-${trace}-${parent}-01`,
  ` 00-${trace}-${parent}-01\n`,
])('%j has none', (header) => {
  expect(parseTraceId(header)).toBeUndefined();
});
