import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type Finding, findingsToJson, formatFindings } from '../../../../src/cli/check/report.ts';
import { wantsColour } from '../../../../src/cli/command.ts';

const findings: Finding[] = [
  { isGood: true, text: 'configuration: F' },
  { isGood: false, text: 'a', advice: 'Do this.' },
  { isGood: false, text: 'b', advice: 'Do:\n\n  that' },
  { isGood: false, text: 'c', advice: 'Do:\n\n  that' },
];
const plain = `ok     configuration: F
FAILED a
       Do this.
FAILED b
FAILED c

       Do:

         that

`;

test('for people: prints repeated advice once, and sets off lines to copy', () => {
  expect(formatFindings(findings, false)).toBe(plain);
});

test('colours do not change the text', () => {
  const coloured = formatFindings(findings, true);
  expect(coloured).toContain('\u001b[32mok    \u001b[0m configuration');
  expect(coloured).toContain('\u001b[1;31mFAILED\u001b[0m a');
  expect(coloured.replaceAll(/\u001b\[[\d;]*m/g, '')).toBe(plain);
});

test('what is not needed yet is no failure', () => {
  const unneeded: Finding = { isGood: false, isNeeded: false, text: 'a' };
  expect(formatFindings([unneeded], false)).toBe('later  a\n');
  expect(formatFindings([unneeded], true)).toContain('\u001b[33mlater \u001b[0m a');
  expect(JSON.parse(findingsToJson([unneeded]))).toEqual({
    ok: true,
    findings: [{ ok: false, needed: false, text: 'a' }],
  });
});

test('for machines', () => {
  const json = JSON.parse(findingsToJson(findings.slice(0, 2)));
  expect(json).toEqual({
    ok: false,
    findings: [
      { ok: true, text: 'configuration: F' },
      { ok: false, text: 'a', advice: 'Do this.' },
    ],
  });
  expect(JSON.parse(findingsToJson(findings.slice(0, 1)))).toMatchObject({ ok: true });
});

test.each([
  [true, {}, true],
  [true, { NO_COLOR: '' }, true],
  [true, { NO_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [undefined, {}, false],
])('colours on a terminal (%j) with %j: %j', (isTTY, env, expected) => {
  const stdout = Object.assign(new PassThrough(), isTTY === undefined ? {} : { isTTY });
  expect(wantsColour({ stdout, env })).toBe(expected);
});
