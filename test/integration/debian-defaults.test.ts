import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { init } from '../../src/cli/init.ts';
import { post } from '../support/clients/http.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { check } from '../support/gateway/check-command.ts';
import { type GatewayProcess, startGatewayProcess } from '../support/gateway/gateway.ts';
import { type DebianServer, startDebianServer } from '../support/servers/debian-server.ts';
import {
  type PrintedLines,
  readAdvice,
  readPrintedLines,
} from '../support/system/printed-lines.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** mod_privilege (XEP-0356), which the server may have for us or for others. */
const privilegesOf = {
  prosody: prosodyPrivileges([
    ['us', 'gateway.localhost', 'privileged'],
    ['another component', 'transport.localhost', 'plain'],
    ['nobody', undefined, 'plain'],
  ]),
  ejabberd: ejabberdPrivileges([
    ['us', 'gateway.localhost', 'privileged'],
    ['another component', 'transport.localhost', 'plain'],
    ['nobody', undefined, 'plain'],
  ]),
};

/** The file to copy, and the further steps in the README beside it. */
const examples = {
  prosody: {
    path: 'prosody/example.cfg.lua',
    installedAs: 'conf.d/gateway.cfg.lua',
    lines: () => [],
  },
  ejabberd: {
    path: 'ejabberd/gateway.yml',
    installedAs: 'gateway.yml',
    lines: (file: string) => [
      { place: 'at its end:', lines: ['include_config_file:', `  - ${file}`] },
      { place: 'under modules', lines: ['mod_fail2ban:', '  access: trusted_network'] },
    ],
  },
};

type Privileged = readonly [whom: string, component: string | undefined, mode: string];

function prosodyPrivileges(cases: readonly Privileged[]) {
  return cases.map(([whom, component, mode]) => {
    const grant = `privileged_entities = { ["${component}"] = { message = "outgoing" } }`;
    const modules = 'modules_enabled = { "privilege" }';
    const lines = [
      { place: 'below Component "gateway.localhost"', lines: [modules] },
      {
        place: 'below VirtualHost "localhost"',
        lines: component === undefined ? [modules] : [modules, grant],
      },
    ];
    return { whom, mode, lines };
  });
}

function ejabberdPrivileges(cases: readonly Privileged[]) {
  return cases.map(([whom, component, mode]) => {
    const granted = [
      { place: 'under acl', lines: ['privileged:', `  server: "${component}"`] },
      { place: 'under access_rules', lines: ['privileged:', '  - allow: privileged'] },
      {
        place: 'under modules',
        lines: ['mod_privilege:', '  message:', '    outgoing: privileged'],
      },
    ];
    const lines =
      component === undefined
        ? [{ place: 'under modules', lines: ['mod_privilege: {}'] }]
        : granted;
    return { whom, mode, lines };
  });
}

describe.each(['prosody', 'ejabberd'] as const)("on Debian's configuration of %s", (kind) => {
  let debian: DebianServer;
  let folder: string;
  let printed: string;
  /** The commands of `init` that let the server know the gateway. */
  let setup: readonly string[];
  let password: string;
  let config: Record<string, unknown>;

  /** Lines as an operator copies them: with the secret. */
  const linesIn = (output: string): readonly PrintedLines[] =>
    readPrintedLines(output.replaceAll('<the same as component.secret>', secret()));
  const secret = (): string => readFileSync(join(folder, 'component.secret'), 'utf8').trim();
  /** The lines that `check` prints for a better mode than plain. */
  const findLinesFor = async (mode: string): Promise<readonly PrintedLines[]> => {
    await debian.configureWith([], setup);
    const { stdout } = await check(config);
    const lines = linesIn(readAdvice(stdout));
    const first = lines.findIndex(({ place }) => place.startsWith(`${mode}, on `));
    const after = lines.findIndex(({ place }, index) => index > first && /^\w+, on /.test(place));
    expect(first).toBeGreaterThanOrEqual(0);
    return lines.slice(first, after === -1 ? undefined : after);
  };

  beforeAll(async () => {
    debian = await startDebianServer(kind);
    const { server } = debian;
    for (const user of ['alice', 'bob', 'bot']) await server.register(user, `${user}-secret`);
    folder = createDirectory('debian-defaults');
    const file = join(folder, 'gateway.yaml');
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const names = ['--domain', 'localhost', '--component', 'gateway.localhost'];
    await init(
      ['--config', file, ...names, '--bot', 'bot@localhost'],
      { stdin, stdout, stderr, env: {}, argv: [] },
      {
        component: { host: '127.0.0.1', port: server.componentPort },
        c2s: { host: '127.0.0.1', port: server.c2sPort, security: 'starttls' },
      },
    );
    stdout.end();
    printed = await text(stdout);
    const own = join(
      folder,
      { prosody: 'prosody-gateway.cfg.lua', ejabberd: 'ejabberd-gateway.yml' }[kind],
    );
    writeFileSync(own, readFileSync(own, 'utf8').replace('5347', String(server.componentPort)));
    // Without what needs root and systemd.
    setup = Array.from(
      printed.matchAll(/^ {3}((?:sudo )?(?:install|grep|sed) .*)$/gm),
      ([, line = '']) => line.replaceAll('sudo ', '').replace(/-o \w+ -g \w+ /, ''),
    );
    [, password = ''] = /^Password: +(\S+)/m.exec(printed) ?? [];
    const written: { component: object } = parse(readFileSync(file, 'utf8'));
    config = {
      ...written,
      component: {
        ...written.component,
        port: server.componentPort,
        secret_file: join(folder, 'component.secret'),
      },
      c2s: { port: server.c2sPort, ca_file: server.caFile },
    };
  });
  afterAll(async () => {
    await debian?.server.stop();
    if (folder !== undefined) removeDirectory(folder);
  });

  /** Sends by both URLs, and sees both messages arrive. */
  async function sendByBothUrls(gateway: GatewayProcess, mode: string): Promise<void> {
    const bob = await openSessionOn(debian.server, 'bob', 'bob-secret', { tls: true });
    onTestFinished(bob.destroy);
    const url = `${gateway.url}/api/1.0/xmppdomains/localhost/gateway/messages`;
    const body = JSON.stringify({ to: 'bob@localhost', body: 'Hello' });
    for (const [place, auth] of [
      [`${url}/alice`, ['alerts', password]],
      [url, ['bot', 'bot-secret']],
    ] as const) {
      const answer = await post(place, { auth, type: 'application/json', body });
      expect(answer.json()).toMatchObject({ status: 'success', mode });
      const { id } = answer.json() as { id: string };
      await bob.waitForMessage(id);
    }
  }

  /** After these commands and with these lines, `check` finds that all is right, in this mode. */
  async function expectMode(
    mode: string,
    lines: readonly PrintedLines[],
    commands: readonly string[] = setup,
  ): Promise<void> {
    await debian.configureWith(lines, commands);
    const { code, stdout } = await check(config);
    expect(stdout).toContain(`ok     messages of localhost: mode ${mode};`);
    expect([code, stdout.includes('FAILED')]).toEqual([0, false]);
    const gateway = await startGatewayProcess({ config });
    try {
      await sendByBothUrls(gateway, mode);
    } finally {
      await gateway.stop();
    }
  }

  test('the commands of init make it ready, in the mode that needs nothing else', async () => {
    expect(printed).not.toMatch({ prosody: /ejabberd/i, ejabberd: /prosody/i }[kind]);
    const last = { prosody: 'systemctl restart prosody', ejabberd: 'ejabberdctl reload_config' };
    expect(printed).toContain(`${last[kind]}\n`);
    await expectMode('plain', []);
  });

  test('so do they when they are run twice', async () => {
    await expectMode('plain', [], [...setup, ...setup]);
  });

  test('so do the lines of check, when the server does not know the gateway yet', async () => {
    await debian.configureWith([]);
    const { code, stdout } = await check(config);
    expect([code, stdout.includes('ECONNREFUSED')]).toEqual([1, true]);
    await expectMode('plain', linesIn(readAdvice(stdout)), []);
  });

  test('with the module and the lines of check for it, the mode is client', async () => {
    const lines = await findLinesFor('client');
    await debian.installModule();
    const toCopy = lines.filter(({ lines: [first] }) => first?.startsWith('install ') !== true);
    await expectMode('client', toCopy);
  });

  /** What ejabberd's releases from 24.10 on do with privileges is a reason not to print the lines. */
  test.each(kind === 'prosody' ? ['privileged'] : [])(
    'with the lines of check for it, the mode is %s',
    async (mode) => {
      await expectMode(mode, await findLinesFor(mode));
    },
  );

  test.each(kind === 'prosody' ? ['carol'] : [])(
    'with the file of init, a message to %s, who blocks the sender, comes back',
    async (blocker) => {
      const { server } = debian;
      await debian.configureWith([], setup);
      await server.register(blocker, 'secret');
      const session = await openSessionOn(server, blocker, 'secret', { tls: true });
      onTestFinished(session.destroy);
      await session.query(
        "<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block></iq>",
      );
      const gateway = await startGatewayProcess({ config });
      onTestFinished(async () => void (await gateway.stop()));
      const answer = await post(
        `${gateway.url}/api/1.0/xmppdomains/localhost/gateway/messages/alice`,
        {
          auth: ['alerts', password],
          type: 'application/json',
          body: JSON.stringify({ to: `${blocker}@localhost`, body: 'Hello' }),
        },
      );
      expect(answer.json()).toMatchObject({ code: 'bounced', status: 404 });
    },
  );

  test('the example for production makes it ready, as the README says', async () => {
    const example = examples[kind];
    const file = join(debian.directory, example.installedAs);
    const copy = join(folder, 'example');
    const own = readFileSync(join(project, example.path), 'utf8')
      .replaceAll('gateway.example.org', 'gateway.localhost')
      .replaceAll('CHANGE-ME', secret())
      .replaceAll('5347', String(debian.server.componentPort));
    writeFileSync(copy, own);
    await debian.installModule();
    await expectMode('client', example.lines(file), [`cp ${copy} ${file}`]);
  });

  test.each(privilegesOf[kind])(
    'with mod_privilege for $whom, the mode is $mode',
    async (privileges) => {
      await expectMode(privileges.mode, privileges.lines);
    },
  );
});
