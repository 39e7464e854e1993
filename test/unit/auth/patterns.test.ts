import { describe, expect, test } from 'vitest';
import { createSenderTest, parseSenderPattern } from '../../../src/auth/patterns.ts';
import { JidError } from '../../../src/core/jid/jid.ts';

describe('parseSenderPattern', () => {
  test.each([
    ['*', '*'],
    ['**', '**'],
    ['Alerts', 'alerts'],
    ['Alerts-*', 'alerts-*'],
    ['*-ÄÖ-*', '*-äö-*'],
    ['ｂｏｔ*', 'bot*'],
    ['a.b+[c]', 'a.b+[c]'],
  ])('%s is %s', (text, pattern) => {
    expect(parseSenderPattern(text)).toBe(pattern);
  });

  test.each(['', 'a@b', 'a@*', '*/x', 'a b', 'a\u0000*', '*\u00ad'])('refuses %j', (text) => {
    expect(() => parseSenderPattern(text)).toThrow(JidError);
  });
});

describe('createSenderTest', () => {
  test.each([
    [['*'], 'anybody', true],
    [['**'], 'anybody', true],
    [[], 'anybody', false],
    [['alerts'], 'alerts', true],
    [['alerts'], 'alerts2', false],
    [['alerts'], 'my-alerts', false],
    [['alerts', 'bot-*'], 'bot-7', true],
    [['bot-*'], 'bot-', true],
    [['bot-*'], 'bot', false],
    [['bot-*'], 'robot-7', false],
    [['*-bot'], 'a-bot', true],
    [['*-bot'], 'a-bots', false],
    [['a*b*c'], 'abc', true],
    [['a*b*c'], 'a-b-b-c', true],
    [['a*b*c'], 'acb', false],
    [['a*b*c'], 'ac', false],
    [['ab*ba'], 'aba', false],
    [['ab*ba'], 'abba', true],
    [['a*bc*c'], 'abc', false],
    [['*aa*aa*'], 'aaa', false],
    [['*aa*aa*'], 'aaaa', true],
    // Everything else is literal.
    [['a.c'], 'abc', false],
    [['a?c*'], 'abc', false],
    [['[ab]*'], 'a', false],
    [['(a|b)*'], '(a|b)7', true],
    [['$*'], '$x', true],
  ])('%j and %s: %s', (patterns, localpart, expected) => {
    expect(createSenderTest(patterns)(localpart)).toBe(expected);
  });

  test('terminates on patterns that make regular expressions backtrack', () => {
    const isSender = createSenderTest(['*a'.repeat(200) + 'b']);
    const localpart = 'a'.repeat(1023);
    expect(isSender(localpart)).toBe(false);
  });
});
