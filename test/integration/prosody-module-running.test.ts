import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  message,
  question,
  readError,
} from '../support/checks/gateway-module.ts';
import { limited } from '../support/checks/message-kinds.ts';
import { startProsodyWithModule } from '../support/servers/prosody-module.ts';
import { runInProsodyShell } from '../support/servers/prosody-shell.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

let server: XmppServer;
beforeAll(async () => {
  server = await startProsodyWithModule();
});
afterAll(() => server.stop());

describe('while the server runs', () => {
  const from = 'alice@example.org/http-1';
  const errors = () =>
    server.log().match(/^.*\b(error|warn)\b.*(message_gateway|raceback).*$/gm) ?? [];

  test('reload, unload and load leave nothing behind', async () => {
    const component = await connectComponent(server);
    const { componentDomain } = server;
    const alice = await connectClient(server, 'alice@example.org/d');
    await alice.query(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
    const bob = await connectClient(server, 'bob@example.org/d');
    const manage = (what: string) =>
      runInProsodyShell(server, `module:${what}("message_gateway", "${componentDomain}")`);
    const speakAndCountCarbons = async (id: string) => {
      component.send(message(from, 'bob@example.org', id));
      await bob.waitForMessage(id);
      await alice.settle();
      const copies = bob.received.filter(({ root }) => root.attributes['id'] === id);
      expect(copies).toHaveLength(1);
      return alice.received.filter(({ xml }) => xml.includes(`id='${id}'`)).length;
    };
    expect(await speakAndCountCarbons('loaded')).toBe(1);
    const isThere = async () => {
      const { root } = await ask(component, componentDomain, 'example.org', question);
      return root.attributes['type'] === 'result';
    };
    expect(await isThere()).toBe(true);
    await manage('reload');
    expect(await isThere()).toBe(true);
    // It still knows where it has spoken from.
    bob.send(`<presence id='after-reload' to='${from}'/>`);
    await component.waitFor(({ root }) => root.attributes['id'] === 'after-reload');
    expect(await speakAndCountCarbons('reloaded')).toBe(1);
    await manage('unload');
    expect(await speakAndCountCarbons('unloaded')).toBe(0);
    const answer = await ask(component, componentDomain, 'example.org', question);
    expect(readError(answer)).toMatchObject({ condition: 'service-unavailable' });
    await manage('load');
    expect(await speakAndCountCarbons('loaded-again')).toBe(1);
    // What was sent before may have gone past it, so it answers on another stream only.
    const answerAgain = await ask(component, componentDomain, 'example.org', question);
    expect(readError(answerAgain)).toMatchObject({ condition: 'resource-constraint' });
    component.destroy();
    const next = await connectComponent(server);
    const { root } = await ask(next, componentDomain, 'example.org', question);
    expect(root.attributes['type']).toBe('result');
    expect(errors()).toEqual([]);
  });

  test("what the component's host sends by itself is no business of the module", async () => {
    const bob = await connectClient(server, 'bob@example.org/d');
    const stanza = `require"util.stanza".message({ from = "a@elsewhere.org", to = "bob@example.org", id = "host" })`;
    const host = `prosody.hosts["${server.componentDomain}"]`;
    await runInProsodyShell(server, `> prosody.core_post_stanza(${host}, ${stanza}) == nil`);
    await bob.waitForMessage('host');
  });

  test('roles and disabled accounts of Prosody 13.0 are understood', async () => {
    const usermanager = 'require"core.usermanager"';
    const set = (name: string, value: string) =>
      runInProsodyShell(server, `> rawset(${usermanager}, "${name}", ${value}) ~= nil`);
    const reload = () =>
      runInProsodyShell(server, `module:reload("message_gateway", "${limited}")`);
    onTestFinished(async () => {
      for (const name of api) await set(name, 'nil');
      await reload();
    });
    const api = ['get_user_role', 'get_user_secondary_roles', 'user_is_enabled'];
    const role = (isOperator: string) =>
      `function (user) return { name = ${isOperator} and "prosody:operator" or "prosody:registered" } end`;
    await set('get_user_role', role('user == "root"'));
    await set('get_user_secondary_roles', 'function () return {} end');
    await set('user_is_enabled', 'function (user) return user ~= "gina" end');
    await reload();
    const component = await connectComponent(server, limited);
    const fates = [];
    for (const sender of ['root@example.org', 'alice@example.org', 'gina@other.example']) {
      const stanza = message(`${sender}/http-1`, 'carol@example.org', sender);
      fates.push((await fateOf(component, limited, stanza, sender))?.reason);
    }
    expect(fates).toEqual(['not-allowed', undefined, 'no-account']);
    await set('get_user_secondary_roles', 'function () return { ["prosody:admin"] = {} } end');
    await reload();
    const stanza = message(from, 'carol@example.org', 'secondary');
    expect((await fateOf(component, limited, stanza, 'secondary'))?.reason).toBe('not-allowed');
    await set('get_user_role', 'function () end');
    const unknown = message(from, 'carol@example.org', 'unknown');
    expect((await fateOf(component, limited, unknown, 'unknown'))?.reason).toBe('not-allowed');
  });

  test('a user that is deleted is refused at once', async () => {
    await server.register('hugo', 'hugo');
    const component = await connectComponent(server);
    const tryAs = (id: string) =>
      fateOf(
        component,
        server.componentDomain,
        message('hugo@example.org/r', 'bob@example.org', id),
        id,
      );
    expect(await tryAs('before')).toBeUndefined();
    await server.unregister('hugo');
    expect((await tryAs('after'))?.reason).toBe('no-account');
  });

  test('options are read again with the configuration', async () => {
    const file = join(dirname(server.caFile), 'further.cfg.lua');
    const configuration = await readFile(file, 'utf8');
    const component = await connectComponent(server, limited);
    const fates = [];
    for (const allowed of ['alice', 'bob']) {
      await writeFile(
        file,
        configuration.replace('"alice@example.org"', `"${allowed}@example.org"`),
      );
      await runInProsodyShell(server, 'config:reload()');
      const stanza = message(from, 'carol@example.org', allowed);
      fates.push((await fateOf(component, limited, stanza, allowed))?.reason);
    }
    await writeFile(file, configuration);
    await runInProsodyShell(server, 'config:reload()');
    expect(fates).toEqual([undefined, 'not-allowed']);
  });

  test('a host that is activated later is served too', async () => {
    const component = await connectComponent(server);
    await runInProsodyShell(server, 'host:deactivate("other.example")');
    await runInProsodyShell(server, 'host:activate("other.example")');
    const { root } = await ask(component, server.componentDomain, 'other.example', question);
    expect(root.attributes['type']).toBe('result');
  });
});
