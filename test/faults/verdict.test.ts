import { expect, test } from 'vitest';
import type { Answer, PostedMessage } from './posts.ts';
import { type Arrival, judge, type Limits, type Observation } from './verdict.ts';

const limits: Limits = {
  answerMs: 5000,
  readyMs: 5000,
  mayForgetInCrash: false,
  mayRefuse: false,
  statuses: [200, 503, 504],
};

function answer(status: number | undefined, code: string, endedAt = 100): Answer {
  return { status, code, startedAt: 0, endedAt };
}

const ok = answer(200, 'ok');
const refused = answer(503, 'xmpp-unavailable');
const unknown = answer(504, 'delivery-unknown');

function message(name: string, ...answers: Answer[]): PostedMessage {
  return { name, url: 'api', hasKey: false, answers };
}

function arrival(name: string, id = name): Arrival {
  return { name, id, originId: undefined };
}

function observe(part: Partial<Observation>): Observation {
  return { messages: [], arrivals: [], written: new Set(), readyMs: 10, crashes: [], ...part };
}

test('a run without a fault is counted and has no violations', () => {
  const verdict = judge(
    observe({
      messages: [
        message('a', ok),
        message('b', refused),
        message('c', unknown),
        message('d', unknown),
        { ...message('e', refused, unknown, ok), hasKey: true },
      ],
      arrivals: [
        arrival('a'),
        arrival('d'),
        { name: 'e', id: 'made-of-key', originId: 'made-of-key' },
        { name: 'e', id: 'made-of-key', originId: 'made-of-key' },
      ],
      written: new Set(['a', 'c', 'd', 'e']),
    }),
    limits,
  );
  expect(verdict).toEqual({
    posted: 5,
    acknowledged: 2,
    delivered: 3,
    lost: 0,
    forgotten: 0,
    twice: 0,
    unavailable: 2,
    unknown: 3,
    throttled: 0,
    longestAnswerMs: 100,
    readyMs: 10,
    violations: [],
  });
});

const keyed = { ...message('a', unknown, ok), hasKey: true };

test.each<[string, Partial<Observation>]>([
  ['1 acknowledged and lost: a', { messages: [message('a', ok)] }],
  [
    '1 acknowledged and lost: a',
    { messages: [message('a', answer(200, 'ok', 100))], crashes: [99] },
  ],
  [
    '1 delivered twice: a',
    { messages: [message('a', unknown)], arrivals: [arrival('a'), arrival('a')] },
  ],
  [
    '1 delivered twice: a',
    {
      messages: [keyed],
      arrivals: [
        { name: 'a', id: 'x', originId: 'x' },
        { name: 'a', id: 'y', originId: 'y' },
      ],
    },
  ],
  ['1 503, but written: a', { messages: [message('a', refused)], written: new Set(['a']) }],
  ['1 503, but delivered: a', { messages: [message('a', refused)], arrivals: [arrival('a')] }],
  [
    '1 delivered, but under another id: a',
    { messages: [message('a', ok)], arrivals: [arrival('a', 'b')] },
  ],
  [
    '1 delivered, but under another id: a',
    { messages: [keyed], arrivals: [{ name: 'a', id: 'x', originId: undefined }] },
  ],
  [
    '1 × the answer 401 unauthenticated',
    { messages: [message('a', answer(401, 'unauthenticated'))] },
  ],
  ['1 × the answer 503 bounced', { messages: [message('a', answer(503, 'bounced'))] }],
  [
    '1 × the answer no connection lost',
    { messages: [message('a', answer(undefined, 'connection lost'))] },
  ],
  [
    'an answer took 5.1 s, over 5.0 s',
    { messages: [message('a', answer(504, 'delivery-unknown', 5100))] },
  ],
  ['the gateway did not become ready again', { readyMs: undefined }],
  ['ready again after 5.1 s, over 5.0 s', { readyMs: 5100 }],
])('%s', (violation, seen) => {
  expect(judge(observe(seen), limits).violations).toEqual([violation]);
  // Only a message that was acknowledged before the crash may be lost.
  const lenient = { ...limits, mayForgetInCrash: true };
  expect(judge(observe(seen), lenient).violations).toEqual([violation]);
});

test('a message that a server may lose in a crash is counted but is no violation', () => {
  const seen = observe({ messages: [message('a', ok), message('b', ok)], crashes: [100] });
  expect(judge(seen, limits).violations).toHaveLength(1);
  const { lost, forgotten, violations } = judge(seen, { ...limits, mayForgetInCrash: true });
  expect({ lost, forgotten, violations }).toEqual({ lost: 2, forgotten: 2, violations: [] });
});

test('a message that a stopping server may refuse was written, but must not arrive', () => {
  const messages = [message('a', answer(503, 'bounced'))];
  const written = new Set(['a']);
  const stopping = { ...limits, mayRefuse: true };
  expect(judge(observe({ messages, written }), stopping).violations).toEqual([]);
  expect(judge(observe({ messages, written }), limits).violations).toEqual([
    '1 × the answer 503 bounced',
  ]);
  const seen = observe({ messages, written, arrivals: [arrival('a')] });
  expect(judge(seen, stopping).violations).toEqual(['1 503, but delivered: a']);
});
