import { parse } from 'ltx';
import { expect, test } from 'vitest';
import { describeServer, isSince, readIdentity } from '../../../../src/xmpp/server/identity.ts';

/** An answer to a version request, with this payload. */
function answer(query: string): Parameters<typeof readIdentity>[0] {
  return parse(`<iq type='result'><query xmlns='jabber:iq:version'>${query}</query></iq>`);
}

test.each([
  ['<name>Prosody</name><version>0.12.3</version><os>Linux</os>', 'Prosody 0.12.3'],
  [
    '<name>ejabberd</name><os>unix</os><version>24.12-3~bpo12+1</version>',
    'ejabberd 24.12-3~bpo12+1',
  ],
  ['<name>Prosody</name>', 'Prosody'],
  ['<name>Prosody</name><version> </version>', 'Prosody'],
  ['<name>Prosody</name><version>13&#10;\u009b31m</version>', 'Prosody 13 31m'],
  [`<name>Prosody</name><version>${'1'.repeat(200)}</version>`, `Prosody ${'1'.repeat(80)}`],
  ['<name>Openfire</name><version>4.8</version>', undefined],
  ['', undefined],
])('%s is %s', (query, expected) => {
  const identity = readIdentity(answer(query));
  expect(identity && describeServer(identity)).toBe(expected);
});

test('an error names no server', () => {
  expect(readIdentity(parse("<iq type='error'><error/></iq>"))).toBeUndefined();
});

test.each([
  ['0.12.3', '13.0', false],
  ['13.0.7', '13.0', true],
  ['23.01-1', '23.10', false],
  ['23.10', '23.10', true],
  ['24.07', '23.10', true],
  ['24.07', '24.10', false],
  ['26.07', '24.10', true],
  ['trunk nightly build 1800', '13.0', undefined],
  [undefined, '13.0', undefined],
])('%s is since %s: %s', (version, first, expected) => {
  expect(isSince(version, first)).toBe(expected);
});
