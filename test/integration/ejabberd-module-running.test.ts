import { cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  ask,
  connectClient,
  connectComponent,
  fateOf,
  message,
  question,
  readError,
} from '../support/checks/gateway-module.ts';
import { sendMeanwhile } from '../support/checks/module-load.ts';
import { openComponent } from '../support/clients/component.ts';
import { callApi, startEjabberd } from '../support/servers/ejabberd.ts';
import { gatewayModule } from '../support/servers/ejabberd-module.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { waitUntil } from '../support/system/wait.ts';

const gateway = 'gateway.example.org';
const from = 'alice@example.org/http-1';

/** What ejabberd's configuration has below `modules:` for it. */
const options = (components: string, access = 'all'): string =>
  `\n  mod_message_gateway:\n    components: ${components}\n    access: ${access}`;

let server: XmppServer;
let configuration: string;

const file = (): string => join(dirname(server.caFile), 'ejabberd.yml');

/** Puts the module's options into the configuration that the running server reads. */
async function configure(lines: string): Promise<void> {
  await writeFile(file(), configuration.replace(/^modules:$/m, `modules:${lines}`));
  await callApi(server, 'reload_config', {});
}

const crashes = (): readonly string[] =>
  server.log().match(/^.*(Could not process|crash|undef).*$/gim) ?? [];

// As an operator does it: installed into a server that runs, by the server's own commands.
beforeAll(async () => {
  server = await startEjabberd({ domains: ['example.org', 'other.example'] });
  configuration = await readFile(file(), 'utf8');
  for (const name of ['alice', 'bob']) await server.register(name, name);
  const sources = join(dirname(server.caFile), '.ejabberd-modules/sources');
  await cp(dirname(dirname(gatewayModule)), join(sources, 'mod_message_gateway'), {
    recursive: true,
  });
  await callApi(server, 'module_install', { module: 'mod_message_gateway' });
}, 300_000);
beforeEach(() => configure(options(gateway)));
afterAll(() => server?.stop());

describe('while the server runs', () => {
  test('its options are read again with the configuration', async () => {
    const component = await connectComponent(server);
    const fates = [];
    for (const access of ['none', 'all']) {
      await configure(options(gateway, access));
      const stanza = message(from, 'bob@example.org', access);
      fates.push((await fateOf(component, gateway, stanza, access))?.reason);
    }
    expect(fates).toEqual(['not-allowed', undefined]);
    await configure(options('other.example.org'));
    const answer = await ask(component, gateway, 'example.org', question);
    expect(readError(answer)).toMatchObject({ condition: 'service-unavailable' });
  });

  test('it knows after a restart where it has spoken from', async () => {
    const component = await connectComponent(server);
    const bob = await connectClient(server, 'bob@example.org/d');
    component.send(message(from, bob.jid, 'm'));
    await bob.waitForMessage('m');
    for (const host of ['example.org', 'other.example']) {
      await callApi(server, 'restart_module', { host, module: 'mod_message_gateway' });
    }
    bob.send(`<presence id='after' to='${from}'/>`);
    await component.waitFor(({ root }) => root.attributes['id'] === 'after', 'the presence');
  });

  test('ejabberd/gateway.yml is all that the configuration needs', async () => {
    const port = await freePort();
    const example = await readFile(new URL('../../ejabberd/gateway.yml', import.meta.url), 'utf8');
    const included = join(dirname(server.caFile), 'gateway.yml');
    await writeFile(
      included,
      example.replace('port: 5347', `port: ${port}`).replace('CHANGE-ME', 'changed'),
    );
    await writeFile(file(), `${configuration}\ninclude_config_file:\n  - ${included}\n`);
    await callApi(server, 'reload_config', {});
    const component = await openComponent({ port, domain: gateway, secret: 'changed' });
    for (const host of ['example.org', 'other.example']) {
      const { root } = await ask(component, gateway, host, question);
      expect(root.attributes['type']).toBe('result');
    }
    await component.close();
  });

  test('a host on which it is not loaded for a while refuses, another one goes on', async () => {
    const component = await connectComponent(server);
    await ask(component, gateway, 'other.example', question);
    await configure('');
    await writeFile(
      file(),
      `${configuration}\nappend_host_config:\n  other.example:\n    modules:${options(gateway).replaceAll('\n', '\n    ')}\n`,
    );
    await callApi(server, 'reload_config', {});
    const { root } = await ask(component, gateway, 'other.example', question);
    expect(root.attributes['type']).toBe('error');
    const again = await ask(component, gateway, 'other.example', question);
    expect(again.root.attributes['type']).toBe('result');
    const stanza = message(from, 'bob@example.org', 'm');
    expect(await fateOf(component, gateway, stanza, 'm')).toMatchObject({
      type: 'wait',
      condition: 'internal-server-error',
      text: 'mod_message_gateway is not loaded on example.org',
    });
  });

  test('an answer promises nothing for the time when it was gone', async () => {
    const component = await connectComponent(server);
    const answer = () => ask(component, gateway, 'example.org', question);
    expect((await answer()).root.attributes['type']).toBe('result');
    await configure('');
    expect(readError(await answer())).toMatchObject({ condition: 'service-unavailable' });
    // Nothing shows the gateway that the module was gone.
    component.send(message(from, 'nobody@example.org', 'm'));
    await configure(options(gateway));
    expect(readError(await answer())).toMatchObject({
      type: 'wait',
      condition: 'resource-constraint',
    });
    expect((await answer()).root.attributes['type']).toBe('result');
    expect(component.received.filter(({ xml }) => xml.includes(`id='m'`))).toEqual([]);
  });

  test('nor does it when the module was gone from one host only', async () => {
    const component = await connectComponent(server);
    const answer = () => ask(component, gateway, 'example.org', question);
    expect((await answer()).root.attributes['type']).toBe('result');
    const module = { host: 'example.org', module: 'mod_message_gateway' };
    await callApi(server, 'restart_module', module);
    expect(readError(await answer())).toMatchObject({ condition: 'resource-constraint' });
    expect((await answer()).root.attributes['type']).toBe('result');
  });

  test.each([
    ['reload_config', () => callApi(server, 'reload_config', {})],
    [
      'restart_module',
      () =>
        callApi(server, 'restart_module', { host: 'example.org', module: 'mod_message_gateway' }),
    ],
    ['module_upgrade', () => callApi(server, 'module_upgrade', { module: 'mod_message_gateway' })],
  ])('%s loses and doubles nothing, and no answer lies', async (_, work) => {
    const report = await sendMeanwhile(server, async (sent) => {
      for (let times = 1; times <= 5; times++) {
        await waitUntil(() => sent() >= times * 100, { label: 'messages' });
        await work();
      }
    });
    console.log(JSON.stringify(report));
    expect(report).toMatchObject({ lost: 0, doubled: 0, lies: 0 });
    expect(report.delivered).toBeGreaterThan(0);
    const component = await connectComponent(server);
    const { root } = await ask(component, gateway, 'example.org', question);
    expect(root.attributes['type']).toBe('result');
    expect(crashes()).toEqual([]);
  });
});
