import { expect, test } from 'vitest';
import { createFaultList } from '../../../../src/core/fault-list.ts';
import { readRecipient } from '../../../../src/core/message/rules.ts';
import { context } from '../message-context.ts';

test.each(['bob', 'BOB', 'bob/phone'])('%s is a domain that nobody means', (address) => {
  const faults = createFaultList();
  expect(readRecipient(address, '/to', context, faults)).toBeUndefined();
  expect(faults.toError().options.errors).toEqual([
    {
      pointer: '/to',
      detail: '"bob" is a domain, not a user. Did you mean bob@example.org?',
    },
  ]);
});

test.each([
  'localhost',
  'bob@localhost',
  'bob@chat',
  'conference.example.net',
  '192.0.2.1',
  '[::1]',
])('%s may be meant', (address) => {
  const faults = createFaultList();
  expect(readRecipient(address, '/to', context, faults)?.toString()).toBe(address);
  expect(faults.isEmpty()).toBe(true);
});
