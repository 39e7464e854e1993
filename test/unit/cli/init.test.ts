import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyPassword } from '../../../src/auth/password-hash.ts';
import type { Command } from '../../../src/cli/command.ts';
import { init as initAt, initCommand } from '../../../src/cli/init.ts';
import {
  adviceForRefusal,
  findInstalledServers,
  setupCommands,
  startCommands,
} from '../../../src/cli/server-setup.ts';
import { type Config, loadConfig } from '../../../src/config/config.ts';
import type { ServerKind } from '../../../src/xmpp/server/identity.ts';
import { run } from './run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xmg-init-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
/** The discard port, where nothing listens. */
const nowhere = { host: '127.0.0.1', port: 9 };
/** `init` on a machine with these servers, one of which may listen for components at this address. */
const initCommandAt = (component = nowhere, installed: readonly ServerKind[] = []): Command => ({
  ...initCommand,
  run: (args, surroundings) => {
    const places = { component, c2s: { ...nowhere, security: 'starttls' } } as const;
    return initAt(args, surroundings, places, installed);
  },
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

test.each(['gateway.yaml', 'component.secret', 'prosody-gateway.cfg.lua', 'ejabberd-gateway.yml'])(
  'never overwrites %s',
  async (name) => {
    writeFileSync(at(name), 'mine');
    await expect(init('--domain', 'example.org')).rejects.toThrow(
      `${at(name)} already exists and was not changed`,
    );
    expect(readFileSync(at(name), 'utf8')).toBe('mine');
    expect(readdirSync(folder)).toEqual([name]);
  },
);

describe('wrong usage', () => {
  test.each([
    [[], '--domain is missing, and there is no terminal to ask on'],
    [['--domain', 'a b@c'], '--domain: '],
    [
      ['--domain', 'example.org', '--component', 'example.org'],
      '--component: expected a separate domain, neither a domain of the users nor a parent of one, got example.org',
    ],
    [
      ['--domain', 'example.org', '--domain', 'gateway.example.org'],
      '--component: expected a separate domain, neither a domain of the users nor a parent of one, got gateway.example.org',
    ],
    [['--domain', 'example.org', '--server', 'openfire'], '--server: '],
    [['--domain', 'example.org', '--account', 'a:b'], '--account: '],
    [['--domain', 'example.org', '--bot', 'bot@example.net'], '--bot: '],
    [['--domain', 'example.org', 'more'], 'unexpected argument "more"'],
  ])('%j', async (args, sentence) => {
    await expect(init(...args)).rejects.toThrow(
      expect.objectContaining({
        name: 'UsageError',
        message: expect.stringContaining(sentence),
      }),
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a wrong --config', () => {
  test.each([
    ['new/', 'the name of a file, got a folder'],
    ['.', 'the name of a file, got a folder'],
    ['new/component.secret', 'another name than component.secret'],
    ['ejabberd-gateway.yml', 'another name than ejabberd-gateway.yml'],
  ])('%s is refused, and nothing is written', async (name, sentence) => {
    const args = ['--domain', 'example.org', '--config', `${folder}/${name}`];
    await expect(run(initCommandAt(), args)).rejects.toThrow(
      expect.objectContaining({
        name: 'UsageError',
        message: expect.stringContaining(`--config: expected ${sentence}`),
      }),
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

/** The files for servers that `init` wrote, and its output. */
async function initFor(command: Command, ...args: string[]) {
  const { out } = await run(command, [
    '--config',
    at('gateway.yaml'),
    '--domain',
    'example.org',
    ...args,
  ]);
  const files = readdirSync(folder).filter((name) => /^(prosody|ejabberd)-/.test(name));
  return { out, files };
}

const [ofProsody, ofEjabberd] = ['prosody-gateway.cfg.lua', 'ejabberd-gateway.yml'];

describe("the server's file", () => {
  test.each([
    ['prosody', [ofProsody]],
    ['ejabberd', [ofEjabberd]],
    ['both', [ofEjabberd, ofProsody]],
  ])('for --server %s: %j', async (server, expected) => {
    const { files, out } = await initFor(initCommandAt(), '--server', server);
    expect(files).toEqual(expected);
    const secret = readFileSync(at('component.secret'), 'utf8').trim();
    expect(out).not.toContain(secret);
    for (const file of files) {
      expect(readFileSync(at(file), 'utf8')).toContain(`"${secret}"`);
      expect(statSync(at(file)).mode & 0o777).toBe(0o600);
      expect(out).toMatch(new RegExp(`install -o .* ${at(file)} /etc/`));
    }
  });

  test.each([
    ['prosody', 'Prosody', 'does not match any configured external components', ofProsody],
    ['ejabberd', 'ejabberd', "<stream:stream id='14944763139221074660'>", ofEjabberd],
  ])('for the server that is running: %s', async (_kind, name, says, file) => {
    const server = createServer((socket) => socket.on('error', () => {}).end(says));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const place = { host: '127.0.0.1', port };
    const { out, files } = await initFor(initCommandAt(place, ['prosody', 'ejabberd']));
    server.close();
    expect(out).toContain(
      `\n${name} is running on this machine. (To choose another server, use --server.)\n`,
    );
    expect(files).toEqual([file]);
  });

  test('for the only server that is installed, where none is running', async () => {
    const { out, files } = await initFor(initCommandAt(nowhere, ['ejabberd']));
    expect(out).toContain('\nejabberd is installed on this machine. ');
    expect(files).toEqual([ofEjabberd]);
  });

  test.each([[[]], [['prosody', 'ejabberd']]] as const)(
    'for both where %j are installed and none is running',
    async (installed) => {
      const { out, files } = await initFor(initCommandAt(nowhere, [...installed]));
      expect(files).toEqual([ofEjabberd, ofProsody]);
      expect(out).not.toContain('on this machine');
      expect(out).toContain('1. If the server is Prosody:');
      expect(out).toContain('1. If the server is ejabberd:');
    },
  );
});

test('the servers that are installed are known by their programs', () => {
  expect(findInstalledServers(() => false)).toEqual([]);
  expect(findInstalledServers((file) => file === '/usr/bin/prosodyctl')).toEqual(['prosody']);
  expect(findInstalledServers(() => true)).toEqual(['prosody', 'ejabberd']);
});

describe('where nothing listens for components', () => {
  const component = {
    host: '127.0.0.1',
    port: 5347,
    domain: 'gateway.example.org',
  } as Config['component'];
  const remote = { ...component, host: 'xmpp.example.org' };
  const [prosody, ejabberd] = [/prosody/i, /ejabberd/i];

  test.each([
    ['the only server that is installed', component, undefined, ['prosody'], [true, false]],
    ['the one that answers', component, 'ejabberd', ['prosody'], [false, true]],
    ['both, if both are installed', component, undefined, ['prosody', 'ejabberd'], [true, true]],
    ['both, if it is on another machine', remote, undefined, ['prosody'], [true, true]],
  ] as const)('the lines are for %s', (_whom, address, running, installed, named) => {
    const identity = running && { kind: running, version: undefined };
    const advice = adviceForRefusal(address, identity, installed);
    expect([prosody.test(advice), ejabberd.test(advice)]).toEqual(named);
  });

  test('it says when the server has to be started first', () => {
    expect(adviceForRefusal(component, undefined, ['prosody'])).toMatch(
      /^Prosody is installed here, but it does not answer\. Start it, /,
    );
  });
});

test.each([
  [true, /^(?!sudo )/],
  [false, /^sudo /],
])('the commands for the server, as root (%j)', (isRoot, pattern) => {
  for (const kind of ['prosody', 'ejabberd'] as const) {
    const commands = setupCommands(kind, "it's.conf", isRoot);
    for (const command of commands) expect(command).toMatch(pattern);
    expect(commands[0]).toContain(`'it'\\''s.conf' /etc/${kind}/`);
    const last = { prosody: 'systemctl restart prosody', ejabberd: 'ejabberdctl reload_config' };
    expect(commands.at(-1)).toContain(last[kind]);
  }
});

test.each([
  [
    '  mod_fail2ban: {}\n',
    '  mod_fail2ban: {access: trusted_network}\ninclude_config_file: [/etc/ejabberd/gateway.yml]\n',
  ],
  ['include_config_file: /etc/ejabberd/sms-gateway.yml\n', undefined],
  ['include_config_file:\n  - /etc/ejabberd/gateway.yml\n', undefined],
])('the commands for ejabberd change its configuration once: %j', (before, after = before) => {
  const file = at('ejabberd.yml');
  writeFileSync(file, before);
  const [, ...changes] = setupCommands('ejabberd', 'x', true).slice(0, -1);
  for (const command of [...changes, ...changes]) {
    execFileSync('/bin/sh', ['-c', command.replaceAll('/etc/ejabberd/ejabberd.yml', file)]);
  }
  expect(readFileSync(file, 'utf8')).toBe(after);
  if (after !== before) expect(readFileSync(`${file}.bak`, 'utf8')).toBe(before);
});

test.each([
  [
    '/usr/lib/systemd/system/xmpp-message-gateway.service',
    ['systemctl start xmpp-message-gateway'],
  ],
  ['', ['systemctl daemon-reload', 'systemctl enable --now xmpp-message-gateway']],
])('where the unit is %j, the service is started by %j', (unit, commands) => {
  expect(startCommands(true, (file) => file === unit)).toEqual(commands);
});

describe('what it prints', () => {
  test('in the folder of a service, how to start it, and where it can keep grants', async () => {
    chmodSync(folder, 0o2750);
    const { out } = await init('--domain', 'example.org');
    expect(out).toMatch(/^ {3}(sudo )?systemctl enable --now xmpp-message-gateway$/m);
    expect(out).not.toContain(' serve ');
    expect(readFileSync(at('gateway.yaml'), 'utf8')).toContain(
      '# state_file: /var/lib/xmpp-message-gateway/permissions.json\n',
    );
  });

  test('commands that can be pasted', async () => {
    const file = at("it's.yaml");
    const { out } = await run(initCommandAt(), ['--domain', 'example.org', '--config', file], {
      argv: ['node', join(process.cwd(), 'dist/main.js')],
    });
    const quoted = `'${file.replace("'", "'\\''")}'`;
    expect(out).toContain(`\n   node dist/main.js check --config ${quoted}\n`);
  });
});
