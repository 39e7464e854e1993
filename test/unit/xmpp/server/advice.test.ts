import { describe, expect, test } from 'vitest';
import { adviceFor, adviceForMode, adviceForSilence } from '../../../../src/xmpp/server/advice.ts';
import { setupLines } from '../../../../src/xmpp/server/config-lines.ts';
import type { ServerIdentity } from '../../../../src/xmpp/server/identity.ts';
import type { StreamFailure } from '../../../../src/xmpp/wire/stream-failure.ts';

const component = { host: '127.0.0.1', port: 5347, domain: 'gateway.example.org' };
const domain = 'example.org';

/** Reads an identity from `kind version`; `both` means a server that is not recognised. */
function identity(text: string): ServerIdentity | undefined {
  const [kind, version] = text.split(' ');
  return kind === 'prosody' || kind === 'ejabberd' ? { kind, version } : undefined;
}

const known = [
  'prosody',
  'prosody 0.12.3',
  'prosody 13.0.1',
  'prosody 13.0.7',
  'prosody trunk nightly build 1800',
  'ejabberd',
  'ejabberd 22.10',
  'ejabberd 23.01-1',
  'ejabberd 23.10',
  'ejabberd 24.07',
  'ejabberd 24.10',
  'ejabberd 24.12-3~bpo12+1',
  'ejabberd 26.07',
];
const kinds: readonly StreamFailure['kind'][] = [
  'unanswered',
  'probe-lost',
  'not-authorized',
  'host-unknown',
  'conflict',
  'untrusted',
  'not-hosted',
  'mode-unavailable',
];
const [ofProsody, ofEjabberd] = [/prosody/i, /ejabberd/i];

describe.each(known)('advice for %s names no other server', (text) => {
  const server = identity(text);
  const foreign = server?.kind === 'prosody' ? ofEjabberd : ofProsody;

  test.each(kinds)('%s', (kind) => {
    const advice = adviceFor({ kind, domain, reason: '' }, component, server);
    expect(advice).not.toMatch(foreign);
    expect(advice).not.toBe('');
  });

  test.each(['privileged', 'plain'] as const)('mode %s', (mode) => {
    expect(adviceForMode(mode, component.domain, [domain], server) ?? '').not.toMatch(foreign);
  });

  test('silence, and the first set-up', () => {
    expect(adviceForSilence(component, server)).toContain('The XMPP server is running.');
    expect(adviceForSilence(component, server)).not.toMatch(foreign);
    expect(setupLines(component, server)).not.toMatch(foreign);
  });
});

test.each([
  ...kinds.filter((kind) => !['unanswered', 'probe-lost', 'conflict'].includes(kind)),
  'silence',
] as const)('where the server is not recognised, the lines of both: %s', (kind) => {
  const advice =
    kind === 'silence'
      ? adviceForSilence(component)
      : adviceFor({ kind, domain, reason: '' }, component);
  expect(advice).toMatch(ofProsody);
  expect(advice).toMatch(ofEjabberd);
});

test('for a server that does not answer, there is nothing to change', () => {
  expect(adviceFor({ kind: 'unreachable', reason: '' }, component)).toBeUndefined();
});

describe('the ways to a better mode than plain', () => {
  test.each([
    ['prosody', ['message_gateway', 'mod_privilege']],
    ['prosody 0.12.3', ['message_gateway', 'mod_privilege']],
    ['prosody 13.0.7', ['message_gateway', 'mod_privilege']],
    ['ejabberd', ['message_gateway']],
    ['ejabberd 22.10', []],
    ['ejabberd 23.01-1', ['message_gateway']],
    ['ejabberd 23.10', ['message_gateway', 'mod_privilege']],
    ['ejabberd 24.07', ['message_gateway', 'mod_privilege']],
    ['ejabberd 24.10', ['message_gateway']],
    ['ejabberd 24.12-3~bpo12+1', ['message_gateway']],
    ['ejabberd 26.07', ['message_gateway']],
    ['both', ['message_gateway', 'mod_privilege']],
  ])('%s: %j', (text, ways) => {
    const advice = adviceForMode('plain', component.domain, [domain], identity(text)) ?? '';
    const found = ['message_gateway', 'mod_privilege'].filter((way) => advice.includes(way));
    expect(found).toEqual(ways);
    expect(advice.indexOf('mod_message_gateway')).toBeLessThanOrEqual(
      advice.includes('privileged, on') ? advice.indexOf('privileged, on') : advice.length,
    );
  });

  test.each([
    ['prosody 13.0.1', true],
    ['ejabberd 22.10', false],
    ['ejabberd 24.12', true],
  ])('than privileged on %s: %s', (text, isThere) => {
    const advice = adviceForMode('privileged', component.domain, [domain], identity(text));
    expect(advice !== undefined).toBe(isThere);
    expect(advice ?? '').not.toContain('mod_privilege');
  });

  test('for a server that is not recognised, privileges only for Prosody', () => {
    const advice = adviceForMode('plain', component.domain, [domain]);
    expect(advice).not.toContain('privileged, on ejabberd');
  });

  test('no mode is better than client', () => {
    expect(adviceForMode('client', component.domain, [domain])).toBeUndefined();
  });
});

test.each([
  ['prosody 0.12.3', false],
  ['prosody', true],
  ['prosody 13.0.1', true],
  ['prosody trunk nightly build 1800', true],
  ['both', true],
  ['ejabberd 26.07', false],
])('bounces of blocked senders have to be asked for on %s: %s', (text, isPrinted) => {
  const lines = setupLines(component, identity(text));
  expect(lines.includes('bounce_blocked_messages = true')).toBe(isPrinted);
});

test.each([
  ['localhost', '"127.0.0.1"'],
  ['192.0.2.1', '"192.0.2.1"'],
  ['xmpp.example.org', '"<the IP address of xmpp.example.org>"'],
])('the address to listen on for %s is %s', (host, address) => {
  const lines = setupLines({ ...component, host });
  expect(lines).toContain(`component_interfaces = { ${address} }`);
  expect(lines).toContain(`ip: ${address}`);
});
