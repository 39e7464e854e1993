import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyPassword } from '../../../src/auth/password-hash.ts';
import type { Command } from '../../../src/cli/command.ts';
import { init as initAt, initCommand } from '../../../src/cli/init.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { run } from './run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xmg-init-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
/** The discard port, where nothing listens. */
const nowhere = { host: '127.0.0.1', port: 9 };
/** `init` on a machine whose XMPP server, if any, listens for components at this address. */
const initCommandAt = (component = nowhere): Command => ({
  ...initCommand,
  run: (args, surroundings) =>
    initAt(args, surroundings, { component, c2s: { ...nowhere, security: 'starttls' } }),
});
const init = (...args: string[]) => run(initCommandAt(), ['--config', at('gateway.yaml'), ...args]);

test('writes a valid configuration, with the printed password for its account', async () => {
  const { code, out } = await init('--domain', 'Example.org', '--domain', 'b.example.org');
  expect(code).toBe(0);
  const config = await loadConfig(at('gateway.yaml'));
  expect(config.domains).toEqual(['example.org', 'b.example.org']);
  expect(config.component.domain).toBe('gateway.example.org');
  expect(config.component.secret.reveal()).toMatch(/^[0-9a-f]{64}$/);
  expect(out).not.toContain(config.component.secret.reveal());
  const [, password = ''] = /^Password: +(\S+)/m.exec(out) ?? [];
  const [account] = config.apiAccounts;
  expect(account).toMatchObject({ username: 'alerts', domains: config.domains });
  expect(await verifyPassword(password, account?.passwordHash.reveal() ?? '')).toBe(true);
  expect(config.permissions.xmppgateway).toEqual([]);
});

test('quotes a name that YAML would misread', async () => {
  await init('--domain', 'example.org', '--account', '#1 "no": {x}'.replace(':', ''));
  const config = await loadConfig(at('gateway.yaml'));
  expect(config.apiAccounts[0]?.username).toBe('#1 "no" {x}');
});

test.each(['gateway.yaml', 'component.secret'])('never overwrites %s', async (name) => {
  writeFileSync(at(name), 'mine');
  await expect(init('--domain', 'example.org')).rejects.toThrow(
    `${at(name)} already exists and was not changed`,
  );
  expect(readFileSync(at(name), 'utf8')).toBe('mine');
  expect(readdirSync(folder)).toEqual([name]);
});

describe('wrong usage', () => {
  test.each([
    [[], '--domain is missing, and there is no terminal to ask on'],
    [['--domain', 'a b@c'], '--domain: '],
    [['--domain', 'example.org', '--component', 'example.org'], '--component: '],
    [['--domain', 'example.org', '--server', 'openfire'], '--server: '],
    [['--domain', 'example.org', '--account', 'a:b'], '--account: '],
    [['--domain', 'example.org', '--bot', 'bot@example.net'], '--bot: '],
    [['--domain', 'example.org', 'more'], 'unexpected argument "more"'],
  ])('%j', async (args, sentence) => {
    await expect(init(...args)).rejects.toThrow(sentence);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('what it prints', () => {
  test.each([
    ['prosody', ['prosody.cfg.lua']],
    ['ejabberd', ['ejabberd.yml']],
    ['both', ['prosody.cfg.lua', 'ejabberd.yml']],
  ])('the lines for %s', async (server, files) => {
    const { out } = await init('--domain', 'example.org', '--server', server);
    expect(out.match(/prosody\.cfg\.lua|ejabberd\.yml/g)).toEqual(files);
  });

  test.each([
    [
      'prosody',
      'Prosody',
      ['prosody.cfg.lua'],
      'does not match any configured external components',
    ],
    ['ejabberd', 'ejabberd', ['ejabberd.yml'], "<stream:stream id='14944763139221074660'>"],
  ])(
    'without --server, the lines for the server that answers: %s',
    async (_kind, name, files, says) => {
      const server = createServer((socket) => socket.on('error', () => {}).end(says));
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      const args = ['--config', at('gateway.yaml'), '--domain', 'example.org'];
      const { out } = await run(initCommandAt({ host: '127.0.0.1', port }), args);
      server.close();
      expect(out).toContain(
        `\n${name} was found on this machine. (To choose another server, use --server.)\n`,
      );
      expect(out.match(/prosody\.cfg\.lua|ejabberd\.yml/g)).toEqual(files);
    },
  );

  test('the lines for both where nothing answers', async () => {
    const { out } = await init('--domain', 'example.org');
    expect(out.match(/prosody\.cfg\.lua|ejabberd\.yml/g)).toEqual([
      'prosody.cfg.lua',
      'ejabberd.yml',
    ]);
    expect(out).not.toContain('found on this machine');
  });

  test('commands that can be pasted', async () => {
    const file = at("it's.yaml");
    const { out } = await run(initCommandAt(), ['--domain', 'example.org', '--config', file], {
      argv: ['node', join(process.cwd(), 'dist/main.js')],
    });
    const quoted = `'${file.replace("'", "'\\''")}'`;
    expect(out).toContain(`\nnode dist/main.js check --config ${quoted} `);
  });
});
