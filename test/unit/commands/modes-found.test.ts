import { expect, test } from 'vitest';
import { describeModes } from '../../../src/commands/modes-found.ts';
import { describeForm, type WireForm } from '../../../src/core/mode.ts';

const component = 'gateway.example.org';

function find(form: WireForm, isChosen = false) {
  const found = { form, report: describeForm(form, false) };
  return describeModes(new Map([['example.org', found]]), component, isChosen)[0];
}

test('what an old ejabberd does with privileged messages is told as unknown', () => {
  const namespace = 'urn:xmpp:privilege:1';
  const finding = find({ mode: 'privileged', namespace, component, domain: 'example.org' });
  expect(finding?.text).toContain('on other devices from ejabberd 23.10 on; bounces do not come');
});

test('nothing is better than mode client, and nothing is advised where the mode was chosen', () => {
  const client = find({ mode: 'client', resource: 'http-1', speaksInRooms: false });
  expect(client).toMatchObject({ isGood: true, advice: undefined });
  expect(find({ mode: 'plain' }, true)?.advice).toBeUndefined();
  expect(find({ mode: 'plain' })?.advice).toContain('modules_enabled = { "message_gateway" }');
});
