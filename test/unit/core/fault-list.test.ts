import { expect, test } from 'vitest';
import { createFaultList, escapePointer } from '../../../src/core/fault-list.ts';

test('the sentence of a single fault is the detail', () => {
  const faults = createFaultList();
  expect(faults.isEmpty()).toBe(true);
  faults.add('/to', 'Wrong.');
  expect(faults.isEmpty()).toBe(false);
  expect(faults.toError()).toMatchObject({
    code: 'invalid-message',
    message: '/to: Wrong.',
    options: { errors: [{ pointer: '/to', detail: 'Wrong.' }] },
  });
});

test('counts all faults and reports the first 32', () => {
  const faults = createFaultList();
  for (let index = 0; index < 100; index += 1) faults.add(`/${index}`, `Fault ${index}.`);
  const error = faults.toError();
  expect(error.message).toBe('100 faults; the first: /0: Fault 0.');
  expect(error.options.errors).toHaveLength(32);
  expect(error.options.errors?.[31]).toEqual({ pointer: '/31', detail: 'Fault 31.' });
});

test('a very long pointer is abbreviated', () => {
  const faults = createFaultList();
  faults.add(`/${'x'.repeat(100_000)}`, 'Wrong.');
  expect(faults.toError().options.errors?.[0]?.pointer).toHaveLength(513);
});

test.each([
  ['a/b', 'a~1b'],
  ['m~n', 'm~0n'],
  ['~1', '~01'],
])('escapePointer(%j)', (token, expected) => {
  expect(escapePointer(token)).toBe(expected);
});
