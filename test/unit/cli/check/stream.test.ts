import { expect, test } from 'vitest';
import { describeModes } from '../../../../src/cli/check/stream.ts';
import { describeForm, type WireForm } from '../../../../src/core/message/mode.ts';
import type { ServerIdentity } from '../../../../src/xmpp/server/identity.ts';

const component = 'gateway.example.org';

function find(form: WireForm, isChosen = false, server?: ServerIdentity, returnsBounces = false) {
  const found = { form, report: describeForm(form, returnsBounces) };
  const surroundings = { component, isChosen, server };
  return describeModes(new Map([['example.org', found]]), surroundings)[0];
}

test.each([
  [undefined, "in the sender's archive and on other devices since ejabberd 23.10"],
  ['23.01-1', "not in the sender's archive, nor on the sender's other devices"],
  ['24.07', "in the sender's archive, if the server keeps one, and on the sender's other devices"],
])('what ejabberd %s does with privileged messages', (version, copies) => {
  const namespace = 'urn:xmpp:privilege:1';
  const form: WireForm = { mode: 'privileged', namespace, component, domain: 'example.org' };
  const { text } = find(form, false, { kind: 'ejabberd', version }) ?? {};
  expect(text).toContain(`mode privileged; ${copies}; bounces do not come back`);
});

const attributes = '; ejabberd drops attributes of <message/> and <body/> that it does not know';
const blockers =
  "; from a recipient who blocks the sender, on Prosody 13, only with bounce_blocked_messages = true (init's file has it)";

test.each([
  ['prosody', '0.12.3', true, ''],
  ['prosody', '13.0.1', true, blockers],
  ['prosody', undefined, true, blockers],
  ['ejabberd', '23.01-1', false, attributes],
] as const)('what %s %s does to messages', (kind, version, returnsBounces, end) => {
  const { text } = find({ mode: 'plain' }, false, { kind, version }, returnsBounces) ?? {};
  const bounces = returnsBounces
    ? 'bounces come back from this server, but not from others'
    : 'bounces do not come back: a message to a user who does not exist, or who blocks the sender, gets 200';
  expect(text).toBe(
    `messages of example.org: mode plain; not in the sender's archive, nor on the sender's other devices; ${bounces}${end}`,
  );
});

test('advises nothing for mode client, nor where the mode is prescribed', () => {
  const client = find({
    mode: 'client',
    resource: 'http-1',
    speaksInRooms: false,
    returnsReceipts: true,
  });
  expect(client).toMatchObject({ isGood: true, advice: undefined });
  expect(find({ mode: 'plain' }, true)?.advice).toBeUndefined();
  expect(find({ mode: 'plain' })?.advice).toContain('modules_enabled = { "message_gateway" }');
});
