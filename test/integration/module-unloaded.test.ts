import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { request } from '../support/clients/http.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { callApi, startEjabberd } from '../support/servers/ejabberd.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { runInProsodyShell } from '../support/servers/prosody-shell.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const setups = [
  {
    kind: 'prosody',
    start: startProsody,
    options: withModule,
    manage: (server: XmppServer, what: 'unload' | 'load') =>
      runInProsodyShell(server, `module:${what}("message_gateway", "${server.componentDomain}")`),
  },
  {
    kind: 'ejabberd',
    start: startEjabberd,
    options: ejabberdWithModule,
    manage: async (server: XmppServer, what: 'unload' | 'load') => {
      const file = join(dirname(server.caFile), 'ejabberd.yml');
      const without = readFileSync(file, 'utf8').replace(moduleLines, '');
      const text = what === 'load' ? without.replace('modules:\n', `$&${moduleLines}`) : without;
      writeFileSync(file, text);
      await callApi(server, 'reload_config', {});
    },
  },
];

const moduleLines = '  mod_message_gateway:\n    components: gateway.example.org\n';

const message = (id: string): string =>
  JSON.stringify({ to: 'bob@example.org', body: 'hi', message_attributes: { id } });

describe.each(setups)('a module that is unloaded under way, on $kind', (setup) => {
  describe.each(['auto', 'client'] as const)('delivery.mode %s', (mode) => {
    let site: GatewaySite;
    beforeAll(async () => {
      site = await startGatewaySite(setup.start, setup.options, { delivery: { mode } });
      await site.server.register('alice', 'alice-secret');
    });
    afterAll(() => site?.stop());

    const post = (id: string) => site.postAs('alice', message(id));
    const readyz = async () => (await request(`${site.gateway.url}/readyz`)).json();
    const gone = 'mod_message_gateway does not answer any more';
    const isGone = ({ msg, reason }: Readonly<Record<string, unknown>>) =>
      msg === 'component stream down' && String(reason).includes(gone);

    test('no 200 lies about the mode, and the gateway notices', async () => {
      const before = await post('loaded');
      expect(before.json()).toMatchObject({ mode: 'client' });
      await setup.manage(site.server, 'unload');
      const { status, json } = await post('unloaded');
      // 503 or mode plain when it had noticed before, by itself.
      const honest = ['504', '503', ...(mode === 'auto' ? ['200 plain'] : [])];
      expect(honest).toContain(status === 200 ? `200 ${String(json()['mode'])}` : `${status}`);
      // Not the first line of that kind: on a busy machine the first stream may have come to nothing.
      const down = await waitUntil(() => site.gateway.logLines().find(isGone), { label: gone });
      expect(down['level']).toBe(40);
    });

    test('it goes on in the mode that is left, if that is allowed', async () => {
      if (mode === 'auto') {
        await site.gateway.waitUntilReady();
        expect((await post('plain')).json()).toMatchObject({ mode: 'plain' });
        expect(await site.gateway.waitForLine('mode changed')).toMatchObject({
          domain: 'example.org',
          before: 'client',
          now: 'plain',
        });
      } else {
        await waitUntil(async () => String((await readyz())['reason']).includes('delivery.mode'), {
          label: 'the reason in /readyz',
        });
        expect((await post('refused')).status).toBe(503);
      }
    });

    test('it comes back with the module', async () => {
      await setup.manage(site.server, 'load');
      await waitUntil(async () => JSON.stringify(await readyz()).includes('"client"'), {
        label: 'mode client in /readyz',
      });
      expect((await post('back')).json()).toMatchObject({ mode: 'client' });
    });
  });
});

describe.each(setups)(
  'a module that is loaded under way, on $kind',
  ({ start, options, manage }) => {
    let site: GatewaySite;
    const linesOf = (text: string) => site.gateway.logLines().filter(({ msg }) => msg === text);

    beforeAll(async () => {
      site = await startGatewaySite(start, options);
      await site.server.register('alice', 'alice-secret');
      await manage(site.server, 'unload');
      // The barrier of the next message finds out.
      await site.postAs('alice', JSON.stringify({ to: 'bob@example.org', body: 'hi' }));
      await waitUntil(() => linesOf('component stream ready').length === 2, {
        label: 'another stream, without the module',
      });
    });
    afterAll(() => site?.stop());

    test('changes the mode on the open stream, and loses nothing', async () => {
      // Messages to nobody are refused only in mode client, and their answers tell the mode.
      const judge = async (id: string, to: string): Promise<string> => {
        const body = JSON.stringify({ to, body: 'hi', message_attributes: { id } });
        const { status, json } = await site.postAs('alice', body);
        return `${status} ${String(json()['mode'] ?? json()['code'])}`;
      };
      const nobody = [await judge('before', 'nobody@example.org')];
      const bob: Promise<string>[] = [];
      const findChange = () => linesOf('mode changed').find(({ now }) => now === 'client');
      await manage(site.server, 'load');
      site.gateway.signal('SIGHUP');
      while (findChange() === undefined) {
        bob.push(judge(`bob-${bob.length}`, 'bob@example.org'));
        await bob.at(-1);
      }
      expect(findChange()).toMatchObject({ before: 'plain', level: 40 });
      nobody.push(await judge('after', 'nobody@example.org'));
      expect(nobody[1]).toBe('404 bounced');
      expect(nobody[0]).not.toBe('200 client');
      expect(await judge('last', 'bob@example.org')).toBe('200 client');
      const answers = new Set(await Promise.all(bob));
      for (const answer of answers) expect(['200 plain', '200 client']).toContain(answer);
      for (const [index] of bob.entries()) await site.bob.waitForMessage(`bob-${index}`);
      expect(linesOf('component stream ready')).toHaveLength(2);
      const { domains } = (await request(`${site.gateway.url}/readyz`)).json();
      expect(domains).toMatchObject({ 'example.org': { mode: 'client' } });
    });
  },
);
