import { describe, expect, it } from 'vitest';
import { describeRefusal, describeSilence, readState } from '../../../docs-page/answers.ts';

function refuse(
  problem: object,
  account: 'user' | 'api' = 'user',
): ReturnType<typeof describeRefusal> {
  return describeRefusal(
    422,
    JSON.stringify({ title: 'T.', detail: 'D.', ...problem }),
    null,
    account,
  );
}

describe('describeRefusal', () => {
  it('finds the fields that pointers mean', () => {
    const errors = [
      { pointer: '/to', detail: 'A.' },
      { pointer: '/extra_elements', detail: 'B.' },
      { pointer: '/extra_elements', detail: 'C.' },
      { pointer: '/other', detail: 'E.' },
    ];
    expect(refuse({ code: 'invalid-message', errors })).toEqual({
      headline: '422: T.',
      details: ['D.', '/other: E.'],
      faults: new Map([
        ['to', 'A.'],
        ['extra', 'B. C.'],
      ]),
      code: 'invalid-message',
    });
  });

  it.each([
    ['unauthenticated', 'user', ['password', 'T.']],
    ['bounced', 'user', ['to', 'D.']],
    ['unknown-domain', 'user', ['domain', 'D.']],
    ['sender-refused', 'user', ['login', 'D.']],
    ['sender-refused', 'api', ['sender', 'D.']],
  ] as const)('finds the field that has to change after %s (%s)', (code, account, fault) => {
    expect([...refuse({ code }, account).faults]).toEqual([fault]);
  });

  it('says when to try again', () => {
    const text = '{"code": "overloaded", "title": "T.", "detail": "D."}';
    const { details, faults } = describeRefusal(503, text, '5', 'user');
    expect(details).toEqual(['D.', 'Try again in 5 s.']);
    expect(faults.size).toBe(0);
  });

  it.each(['<html>Bad Gateway</html>', '', 'null', '{"title": 1}', '[]'])(
    'does not take %j for an answer of the gateway',
    (text) => {
      expect(describeRefusal(502, text, null, 'user')).toMatchObject({
        headline: '502: this is not an answer of the gateway.',
        code: undefined,
      });
    },
  );
});

describe('describeSilence', () => {
  const timeout = new DOMException('', 'TimeoutError');

  it.each([
    [timeout, false, /within 60 seconds\. The message may have been sent\.$/],
    [timeout, true, /within 60 seconds\.$/],
    [new TypeError('Failed to fetch'), false, /cannot be reached.* may have been sent\.$/],
    [new TypeError('Failed to fetch'), true, /cannot be reached.*the network is down\.$/],
  ])('%s, dry run: %s', (error, isDryRun, expected) => {
    expect(describeSilence(error, 60, isDryRun)).toMatch(expected);
  });
});

describe('readState', () => {
  it.each([
    [200, '{"status": "ready", "domains": {"a": {}}}', 'ready', ''],
    [
      200,
      '{"status": "ready", "domains": {"a": {}}, "degraded": "the store"}',
      'degraded',
      'the store',
    ],
    [
      503,
      '{"status": "unavailable", "reason": "no stream"}',
      'unavailable',
      'no stream. Meanwhile',
    ],
    [502, '<html>', 'unavailable', 'Something in front of the gateway has answered 502.'],
    [200, 'null', 'unavailable', 'Something in front'],
  ])('%i %s', (status, text, state, reason) => {
    const found = readState(status, text);
    expect(found.state).toBe(state);
    expect(found.reason).toContain(reason);
    expect(found.domains).toEqual(status === 200 && text !== 'null' ? ['a'] : []);
  });
});
