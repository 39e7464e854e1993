import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/config.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { check } from '../support/gateway/check-command.ts';
import { runCommand, startGatewayProcess } from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { ServerKind, ServerOptions } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { openTerminal } from '../support/system/terminal.ts';

let folder: string;
beforeEach(() => {
  folder = createDirectory('init');
});
afterEach(() => removeDirectory(folder));

const at = (name: string): string => join(folder, name);
const modeOf = (name: string): number => statSync(at(name)).mode & 0o777;

const setupFiles = { prosody: 'prosody-gateway.cfg.lua', ejabberd: 'ejabberd-gateway.yml' };

/** The configuration of a server that includes the file that `init` wrote, and has another component. */
function serverOptions(kind: ServerKind, port: number): ServerOptions {
  const file = at(setupFiles[kind]);
  writeFileSync(file, readFileSync(file, 'utf8').replace('5347', String(port)));
  const include = {
    prosody: `Include ${JSON.stringify(file)}`,
    ejabberd: `include_config_file: [${file}]`,
  };
  return {
    components: [{ domain: 'other.example.org', secret: 'other-secret' }],
    extra: { global: include[kind] },
  };
}

describe.each(servers)('init for $kind', ({ kind, start }) => {
  test('has all that a message needs: its configuration, its file for the server, its password', async () => {
    const file = at('gateway.yaml');
    const names = ['--domain', 'example.org', '--component', 'http.example.org', '--server', kind];
    const { code, stdout, stderr } = await runCommand([
      'init',
      '--config',
      file,
      ...names,
      '--bot',
      'bot@example.org',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const secret = readFileSync(at('component.secret'), 'utf8').trim();
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    for (const name of ['component.secret', 'gateway.yaml', setupFiles[kind]]) {
      expect([name, modeOf(name)]).toEqual([name, 0o600]);
    }
    const [, password = ''] = /^Password: +(\S+)/m.exec(stdout) ?? [];
    expect(readFileSync(file, 'utf8')).not.toContain(password);
    expect(stdout).not.toContain(secret);

    const port = await freePort();
    const server = await start(serverOptions(kind, port));
    onTestFinished(server.stop);
    await server.register('bob', 'bob-secret');
    await server.register('bot', 'bot-secret');
    const bob = await openSessionOn(server, 'bob', 'bob-secret');
    onTestFinished(bob.destroy);

    const written: { component: object } = parse(readFileSync(file, 'utf8'));
    const config = {
      ...written,
      component: { ...written.component, port, secret_file: at('component.secret') },
      c2s: { port: server.c2sPort, ca_file: server.caFile },
    };
    const checked = await check(config);
    expect([checked.code, checked.stdout.includes('FAILED')]).toEqual([0, false]);
    const gateway = await startGatewayProcess({ config });
    onTestFinished(async () => void (await gateway.stop()));
    for (const [user, own, ...from] of [
      ['alerts', password, '--from', 'alice@example.org'],
      ['bot@example.org', 'bot-secret'],
    ]) {
      const to = ['--to', 'bob@example.org', ...from];
      const args = ['send', '--url', gateway.url, '--user', user ?? '', ...to, 'Hello'];
      const sent = await runCommand(args, { env: { XMPP_GATEWAY_PASSWORD: own } });
      expect(sent.stderr).toBe('');
      await bob.waitForMessage(sent.stdout.trim());
    }
  });
});

test('asks on a terminal, again where the answer is no good', async () => {
  const terminal = openTerminal(['init', '--server', 'ejabberd'], { cwd: folder });
  await terminal.answer('Domain of the XMPP users (after the @): ', '\r');
  await terminal.answer('got nothing', 'Example.ORG b.example.org\r');
  await terminal.answer('[gateway.example.org]: ', 'org\r');
  await terminal.answer('neither a domain of the users', '\r');
  await terminal.answer('API account [alerts]: ', 'monitor\r');
  await terminal.answer('(JID) [none]: ', 'bot@b.example.org\r');
  expect(await terminal.ended).toBe(0);
  const config = await loadConfig(at('gateway.yaml'));
  expect(config.domains).toEqual(['example.org', 'b.example.org']);
  expect(config.component.domain).toBe('gateway.example.org');
  expect(config.apiAccounts.map(({ username }) => username)).toEqual(['monitor']);
  expect(config.permissions.xmppgateway).toEqual(['bot@b.example.org']);
  expect(terminal.screen()).toContain('Let ejabberd know the gateway');
  expect(readdirSync(folder)).toContain(setupFiles.ejabberd);
  expect(readdirSync(folder)).not.toContain(setupFiles.prosody);
});

test('writes nothing when the terminal is left in between', async () => {
  const terminal = openTerminal(['init'], { cwd: folder });
  await terminal.answer('(after the @): ', 'example.org\r');
  await terminal.answer('[gateway.example.org]: ', '\u0003');
  expect(await terminal.ended).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});
