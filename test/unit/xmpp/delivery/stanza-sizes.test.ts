import { pino } from 'pino';
import { expect, test } from 'vitest';
import { StanzaSizes } from '../../../../src/xmpp/delivery/stanza-sizes.ts';
import { unreachable } from '../../../../src/xmpp/wire/stream-failure.ts';

const tooBig = { ...unreachable('policy-violation'), condition: 'policy-violation' };
const sizesOf = (...all: number[]) => all.map((bytes) => ({ bytes }));

function create() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  const sizes = new StanzaSizes(262_144, pino({ base: null }, { write }));
  const isRefused = (bytes: number): boolean => {
    try {
      sizes.refuse({ bytes });
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: 'too-large' });
      return true;
    }
  };
  return { sizes, lines, isRefused };
}

test('the size of the largest unanswered stanza is refused from then on, and logged', () => {
  const { sizes, lines, isRefused } = create();
  sizes.learn(tooBig, sizesOf(200, 100_000, 50_000));
  expect([99_999, 100_000, 262_144].map(isRefused)).toEqual([false, true, true]);
  expect(lines).toMatchObject([
    {
      level: 40,
      bytes: 100_000,
      refusedFrom: 100_000,
      advice: expect.stringMatching(
        /component_stanza_size_limit = 266240[^]*max_stanza_size: 266240/,
      ),
    },
  ]);
});

test('a caller that sends one byte less each time closes the stream only a few times', () => {
  const { sizes, lines, isRefused } = create();
  sizes.taken({ bytes: 60_000 });
  for (let bytes = 262_144; bytes > 65_536; bytes -= 1) {
    if (!isRefused(bytes)) sizes.learn(tooBig, sizesOf(bytes));
  }
  expect(lines.length).toBeLessThan(8);
  expect(isRefused(60_000)).toBe(false);
});

test.each([
  ['a stream that is lost without a stream error', unreachable('ECONNRESET'), 100_000],
  ['another stream error', { ...unreachable('x'), condition: 'system-shutdown' }, 100_000],
  ['a size that every server must take', tooBig, 10_000],
])('nothing is learned from %s', (_, failure, bytes) => {
  const { sizes, lines, isRefused } = create();
  sizes.learn(failure, sizesOf(bytes));
  sizes.learn(tooBig, []);
  expect([isRefused(262_144), lines]).toEqual([false, []]);
});

test('a size that the server took before is refused once it has closed the stream twice', () => {
  const { sizes, isRefused } = create();
  sizes.taken({ bytes: 100_000 });
  sizes.learn(tooBig, sizesOf(90_000));
  expect(isRefused(262_144)).toBe(false);
  sizes.learn(tooBig, sizesOf(90_000));
  expect([89_999, 90_000].map(isRefused)).toEqual([false, true]);
});

test('everything is forgotten when an operator may have raised the limit', () => {
  const { sizes, isRefused } = create();
  sizes.learn(tooBig, sizesOf(100_000));
  sizes.forget();
  expect(isRefused(100_000)).toBe(false);
});
