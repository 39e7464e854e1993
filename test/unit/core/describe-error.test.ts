import { expect, test } from 'vitest';
import { describeError, describeWithCause } from '../../../src/core/describe-error.ts';

test.each([
  [new Error('connect ECONNREFUSED'), 'connect ECONNREFUSED'],
  [new AggregateError([new Error('first'), new Error('second')]), 'first'],
  [new AggregateError([new Error('first')], 'both'), 'both'],
  [new TypeError(), 'TypeError'],
  [new AggregateError([]), 'AggregateError'],
  ['thrown text', 'thrown text'],
])('%o in words', (error, words) => {
  expect(describeError(error)).toBe(words);
});

test.each([
  [new Error('It failed.'), 'It failed.'],
  [new Error('It failed.', { cause: new Error('no route') }), 'It failed: no route'],
  [new Error('It failed.', { cause: 'ECONNRESET' }), 'It failed: ECONNRESET'],
])('%o with its cause', (error, words) => {
  expect(describeWithCause(error)).toBe(words);
});
