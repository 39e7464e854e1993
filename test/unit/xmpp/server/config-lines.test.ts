import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { clientLines } from '../../../../src/xmpp/server/config-lines.ts';

const linesFor = (kind: 'prosody' | 'ejabberd', isInstalled: boolean): string =>
  clientLines('gateway.example.org', { kind, version: undefined }, () => isInstalled);

test.each([
  ['prosody', /^client, on Prosody: copy (.*)\n/],
  ['ejabberd', /^ {2}cp -r "(.*)" /m],
] as const)('the module for %s is named with its whole path', (kind, pattern) => {
  const [, path = ''] = pattern.exec(linesFor(kind, false)) ?? [];
  expect([path, existsSync(path)]).toEqual([expect.stringMatching(/^\//), true]);
});

test('where the Debian package has put the module, nothing has to be copied', () => {
  expect(
    linesFor('prosody', true),
  ).toBe(`client, on Prosody: below the line Component "gateway.example.org":

  modules_enabled = { "message_gateway" }`);
});
