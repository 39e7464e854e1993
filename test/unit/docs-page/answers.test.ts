import { describe, expect, it } from 'vitest';
import {
  describeReceipt,
  describeRefusal,
  describeSilence,
  isDecided,
  isPreview,
  isReceipt,
  readState,
} from '../../../docs-page/answers.ts';
import type { FormValues } from '../../../docs-page/message-request.ts';
import { complete } from './values.ts';

function refuse(
  problem: object,
  values: Partial<FormValues> = {},
): ReturnType<typeof describeRefusal> {
  const text = JSON.stringify({ title: 'T.', detail: 'D.', ...problem });
  return describeRefusal(422, text, null, { ...complete, ...values });
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
      headline: 'To: A.',
      details: ['Extra elements: B.', 'Extra elements: C.', '/other: E.'],
      faults: new Map([
        ['to', 'Not valid.'],
        ['extra', 'Not valid.'],
      ]),
      code: 'invalid-message',
      meant: undefined,
    });
  });

  it.each([
    ['unauthenticated', {}, 'password'],
    ['bounced', {}, 'to'],
    ['unknown-domain', {}, 'domain'],
    ['sender-refused', {}, 'login'],
    ['sender-refused', { account: 'api' }, 'sender'],
    ['idempotency-mismatch', { key: 'k' }, 'key'],
    ['idempotency-mismatch', {}, undefined],
  ] as const)('finds the field that has to change after %s (%j)', (code, values, field) => {
    const { headline, details, faults } = refuse({ code }, values);
    expect([...faults.keys()]).toEqual(field === undefined ? [] : [field]);
    if (code !== 'unauthenticated') expect([headline, details]).toEqual(['T.', ['D.']]);
  });

  it('finds the recipient that was meant', () => {
    const detail = '/to: "bob" is a domain. Did you mean bob@example.org?';
    expect(refuse({ code: 'invalid-message', detail }).meant).toBe('bob@example.org');
  });

  it('takes no recipient from the text of another server', () => {
    const detail = 'bob@example.org cannot be reached: Did you mean mallory@example.net?';
    expect(refuse({ code: 'bounced', detail }).meant).toBeUndefined();
  });

  it('says where the password of each kind of account is', () => {
    expect(refuse({ code: 'unauthenticated' }).details).toEqual([
      'A user of the XMPP server has the password of its chat account. For an account of the gateway, such as alerts, it is the password that init printed; gateway.yaml has only its hash.',
    ]);
  });

  it.each([
    ['unauthenticated', /of the other kind\.$/],
    ['xmpp-unavailable', /^Nothing was sent: .*no working connection/],
    ['authentication-unavailable', /^Nothing was sent: .*password\.$/],
  ])('speaks of %s in words of its own', (code, headline) => {
    expect(refuse({ code }).headline).toMatch(headline);
  });

  it('says when to try again', () => {
    const text = '{"code": "overloaded", "title": "T.", "detail": "D."}';
    const { details, faults } = describeRefusal(503, text, '5', complete);
    expect(details).toEqual(['D.', 'Try again in 5 s.']);
    expect(faults.size).toBe(0);
  });

  it.each(['<html>Bad Gateway</html>', '', 'null', '{"title": 1}', '[]'])(
    'does not take %j for an answer of the gateway',
    (text) => {
      expect(describeRefusal(502, text, null, complete)).toMatchObject({
        headline: '502: this is not an answer of the gateway.',
        code: undefined,
      });
    },
  );
});

it('calls a redirect by its name, of which a page is not told the status', () => {
  const { headline } = describeRefusal(0, '', null, complete);
  expect(headline).toBe('A redirect: this is not an answer of the gateway.');
});

describe('isReceipt', () => {
  it.each([
    [200, '{"status": "success"}', true],
    [200, '<html>Log in', false],
    [200, '{"status": "ready"}', false],
    [200, 'null', false],
    [202, '{"status": "success"}', false],
  ])('%i %s: %s', (status, text, expected) => {
    expect(isReceipt(status, text)).toBe(expected);
  });
});

describe('isPreview', () => {
  it.each([
    [200, 'application/xml', true],
    [200, 'application/xml; charset=utf-8', true],
    [200, 'text/html', false],
    [200, 'application/xhtml+xml', false],
    [200, null, false],
    [204, 'application/xml', false],
  ])('%i %s: %s', (status, contentType, expected) => {
    expect(isPreview(status, contentType)).toBe(expected);
  });
});

describe('isDecided', () => {
  it.each([
    [200, '{"status": "success"}', true],
    [404, '{"code": "bounced"}', true],
    [403, '{"code": "sender-refused"}', true],
    // The gateway does not keep it.
    [504, '{"code": "bounced"}', false],
    [401, '{"code": "unauthenticated"}', false],
    [429, '{"code": "too-many-requests"}', false],
    [409, '{"code": "idempotency-in-progress"}', false],
    [504, '{"code": "delivery-unknown"}', false],
    [200, '<html>', false],
    [403, '<html>', false],
    [502, '<html>', false],
    [0, '', false],
  ])('%i %s: %s', (status, text, expected) => {
    expect(isDecided(status, text)).toBe(expected);
  });
});

describe('describeReceipt', () => {
  it('says who has the message', () => {
    const receipt = { to: 'bob@b', from: 'bot@a/gateway', confirmed: 'recipient' };
    expect(describeReceipt(JSON.stringify(receipt), '02:01:13')).toEqual({
      headline: '✓ Sent to bob@b, as bot@a, 02:01:13',
      details: ['A chat client of the recipient has the message.'],
    });
  });

  it('says nothing about what it does not know', () => {
    expect(describeReceipt('{"to": "b", "from": "a", "confirmed": "new"}', '').details).toEqual([]);
  });
});

describe('describeSilence', () => {
  const timeout = new DOMException('', 'TimeoutError');

  it.each([
    [timeout, false, /within 60 seconds\. The message may have been sent\./],
    [timeout, true, /within 60 seconds\.$/],
    [
      new TypeError('Failed to fetch'),
      false,
      /cannot be reached: it.* may have been sent\..*not arrive twice, unless the gateway has forgotten it\.$/,
    ],
    [new TypeError('Failed to fetch'), true, /cannot be reached.*the network is down\.$/],
  ])('%s, dry run: %s', (error, isDryRun, expected) => {
    expect(describeSilence(error, 60, isDryRun)).toMatch(expected);
  });
});

describe('readState', () => {
  it('says what can be done while nothing can be sent', () => {
    expect(readState(503, '{"status": "unavailable"}').summary).toBe(
      'The gateway has no working connection to its XMPP server. Nothing can be sent until that is fixed. Accounts of the gateway can still preview. This page looks again every 10 s.',
    );
  });

  it.each([
    [200, '{"status": "ready"}', 'ready', /^$/, ''],
    [200, '{"status": "ready", "degraded": "the store"}', 'degraded', /can be sent/, 'the store'],
    [503, '{"status": "unavailable", "reason": "no"}', 'unavailable', /^The gateway has no/, 'no'],
    [502, '<html>', 'unavailable', /^Something in front of the gateway has answered 502\.$/, ''],
    [200, 'null', 'unavailable', /^Something in front/, ''],
  ])('%i %s', (status, text, state, summary, reason) => {
    const found = readState(status, text);
    expect(found).toMatchObject({ state, reason });
    expect(found.summary).toMatch(summary);
  });
});
