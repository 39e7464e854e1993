import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  combineOutcomes,
  exitCodes,
  exitNoReceipt,
  exitSomeRefused,
  judgeAnswer,
  judgeFailure,
  judgeResult,
  type Outcome,
  worstOutcome,
} from '../../../../src/cli/send/outcome.ts';
import { type ProblemCode, problems } from '../../../../src/core/errors.ts';

/** For every problem code: the outcome, and whether to send the message again. */
const expected: Record<ProblemCode, [Outcome, boolean]> = {
  'malformed-body': ['refused', false],
  unauthenticated: ['not-permitted', false],
  'permission-missing': ['not-permitted', false],
  'domain-not-allowed': ['not-permitted', false],
  'sender-not-allowed': ['not-permitted', false],
  'cross-origin': ['not-permitted', false],
  'sender-refused': ['not-permitted', false],
  'management-not-allowed': ['not-permitted', false],
  'unknown-domain': ['refused', false],
  'not-found': ['refused', false],
  'method-not-allowed': ['refused', false],
  'idempotency-in-progress': ['unknown', true],
  'granted-in-configuration': ['refused', false],
  'too-large': ['refused', false],
  'unsupported-media-type': ['refused', false],
  'invalid-message': ['refused', false],
  'idempotency-mismatch': ['refused', false],
  'too-many-requests': ['unavailable', true],
  bounced: ['bounced', false],
  internal: ['unknown', false],
  'xmpp-unavailable': ['unavailable', true],
  'authentication-unavailable': ['unavailable', true],
  overloaded: ['unavailable', true],
  'store-unavailable': ['unavailable', true],
  'delivery-unknown': ['unknown', true],
};

test.each(Object.entries(expected))('%s: %j', (code, [outcome, mayRetry]) => {
  const { status } = problems[code as ProblemCode];
  expect(judgeAnswer(status, { code })).toEqual({ outcome, mayRetry });
});

test.each<[object, Outcome]>([
  [{ status: 'success', id: '1' }, 'confirmed'],
  [{ status: 'success' }, 'refused'],
  [{ id: '1' }, 'refused'],
  [{}, 'refused'],
])('200 with %j: %s', (fields, outcome) => {
  expect(judgeAnswer(200, { ...fields })).toEqual({ outcome, mayRetry: false });
});

test.each<[number, string | undefined, Outcome, boolean]>([
  [302, undefined, 'refused', false],
  [403, 'bounced', 'bounced', false],
  [404, 'bounced', 'bounced', false],
  [503, 'bounced', 'bounced', true],
  [504, 'bounced', 'bounced', false],
  [500, undefined, 'unknown', false],
  [502, undefined, 'unknown', true],
  [503, undefined, 'unavailable', true],
  [504, undefined, 'unknown', true],
])('%i %s: %s, again: %j', (status, code, outcome, mayRetry) => {
  expect(judgeAnswer(status, { code })).toEqual({ outcome, mayRetry });
});

test.each<[boolean, boolean, Outcome]>([
  [true, true, 'unknown'],
  [false, true, 'unavailable'],
  [false, false, 'wrong-usage'],
])('without answer, connected: %j, again: %j', (wasConnected, mayRetry, outcome) => {
  expect(judgeFailure({ wasConnected, mayRetry })).toEqual({ outcome, mayRetry });
});

test.each<[Outcome[], Outcome]>([
  [['unavailable', 'confirmed'], 'confirmed'],
  [['unknown', 'confirmed'], 'confirmed'],
  [['unknown', 'bounced'], 'bounced'],
  [['unknown', 'unavailable'], 'unknown'],
  [['unknown', 'not-permitted'], 'unknown'],
  [['unknown', 'wrong-usage'], 'unknown'],
  [['unavailable', 'refused'], 'refused'],
])('%j together: %s', (outcomes, outcome) => {
  expect(combineOutcomes(outcomes)).toBe(outcome);
});

test.each<[object, Outcome, boolean]>([
  [{ status: 200, id: '1' }, 'confirmed', false],
  [{ status: 200 }, 'refused', false],
  [{ status: 'success', id: '1' }, 'refused', false],
  [{ id: '1' }, 'refused', false],
  [{}, 'refused', false],
  [{ status: 404, code: 'bounced' }, 'bounced', false],
  [{ status: 503, code: 'bounced' }, 'bounced', true],
  [{ status: 503, code: 'overloaded' }, 'unavailable', true],
  [{ status: 409, code: 'idempotency-in-progress' }, 'unknown', true],
])('the result %j: %s, again: %j', (fields, outcome, mayRetry) => {
  expect(judgeResult({ ...fields })).toEqual({ outcome, mayRetry });
});

test.each<[Outcome[], Outcome]>([
  [['confirmed', 'confirmed'], 'confirmed'],
  [['confirmed', 'bounced'], 'bounced'],
  [['bounced', 'refused', 'confirmed'], 'refused'],
  [['refused', 'not-permitted'], 'not-permitted'],
  [['not-permitted', 'unavailable', 'confirmed'], 'unavailable'],
  [['unavailable', 'unknown', 'confirmed'], 'unknown'],
])('%j of several recipients: %s', (outcomes, outcome) => {
  expect(worstOutcome(outcomes)).toBe(outcome);
});

test('the exit codes are the documented ones', () => {
  const page = readFileSync(new URL('../../../../docs/commands.md', import.meta.url), 'utf8');
  const codes = new Set([64, exitSomeRefused, 78, exitNoReceipt, ...Object.values(exitCodes)]);
  expect([...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))).toEqual(
    [...codes].toSorted((a, b) => a - b),
  );
});

test('the exit codes', () => {
  expect(exitCodes).toEqual({
    confirmed: 0,
    refused: 1,
    bounced: 1,
    'wrong-usage': 64,
    unavailable: 75,
    unknown: 76,
    'not-permitted': 77,
  });
});
