import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { isSince } from '../../src/xmpp/server/identity.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { check } from '../support/gateway/check-command.ts';
import {
  apiPasswordHash,
  type GatewayProcess,
  gatewayConfig,
  runCommand,
  startCommand,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { startEjabberd } from '../support/servers/ejabberd.ts';
import { prosodyPrivilege, withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { createCertificates } from '../support/system/certificates.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { startRedis } from '../support/system/redis.ts';
import { openTerminal } from '../support/system/terminal.ts';
import { waitUntil } from '../support/system/wait.ts';

/** A stream that had been lost would have become ready twice. */
async function expectOneStream(gateway: GatewayProcess): Promise<void> {
  await gateway.waitUntilReady();
  const ready = gateway.logLines().filter(({ msg }) => msg === 'component stream ready');
  expect(ready).toHaveLength(1);
}

/** Listens for HTTP during the test, as a program that is not a gateway; resolves with the port. */
async function holdPort(answer: RequestListener): Promise<number> {
  const holder = createServer(answer).listen(0, '127.0.0.1');
  onTestFinished(() => void holder.close());
  await once(holder, 'listening');
  return (holder.address() as AddressInfo).port;
}

const components = [{ domain: 'gateway.example.org', secret: 'component-secret' }];
const domains = ['example.org', 'bots.example.org'];
const serverNames = { prosody: 'Prosody', ejabberd: 'ejabberd' };
/** XEP-0092, which Debian's default configurations have. */
const versionModule = { prosody: ['version'], ejabberd: ['mod_version: {}'] };
/** A line of what lets a component connect. */
const componentLines = {
  prosody: 'component_secret = "<the same as component.secret>"',
  ejabberd: 'module: ejabberd_service',
};
/** A line of what makes mode client possible. */
const clientLines = {
  prosody: 'modules_enabled = { "message_gateway" }',
  ejabberd: 'ejabberdctl module_install mod_message_gateway',
};
/** What is only in lines for the other server. */
const foreign = { prosody: /ejabberd/i, ejabberd: /prosody/i };

describe.each(servers)('check against $kind', ({ kind, start }) => {
  let server: XmppServer;
  let directory: string;

  beforeAll(async () => {
    directory = createDirectory('check-test');
    server = await start({
      components,
      domains,
      requireTls: true,
      extra: { modules: versionModule[kind] },
    });
  });
  afterAll(async () => {
    await server?.stop();
    removeDirectory(directory);
  });

  const config = (overrides = {}): ReturnType<typeof gatewayConfig> => {
    const c2s = { security: 'starttls', ca_file: server.caFile };
    return gatewayConfig(server, { c2s, ...overrides });
  };
  /** Code and output of `check`, without what is different each time. */
  const run = async (settings: object) => {
    const { code, stdout, stderr } = await check(settings);
    expect(stderr).toBe('');
    for (const secret of ['component-secret', apiPasswordHash])
      expect(stdout).not.toContain(secret);
    const text = stdout
      .replace(/configuration: .*/, 'configuration: FILE')
      .replaceAll(String(server.componentPort), 'COMPONENT')
      .replaceAll(String(server.c2sPort), 'C2S')
      .replace(/(?<=XMPP server: \w+ )\d+\.\d+\S*/, 'VERSION');
    expect(text).not.toMatch(foreign[kind]);
    const [, version] = /XMPP server: \w+ (\d+\.\d+\S*)/.exec(stdout) ?? [];
    return { code, text, version };
  };
  const lines = {
    configuration: 'ok     configuration: FILE\n',
    server: `ok     XMPP server: ${serverNames[kind]} VERSION\n`,
    component:
      'ok     component gateway.example.org at 127.0.0.1:COMPONENT: connected and trusted for example.org, bots.example.org\n',
    sizes: 'ok     stanzas of limits.stanza_bytes (262144): accepted by the XMPP server\n',
    verdict: 'Everything that is needed works.\n',
    c2s: [
      'ok     password checks for example.org at 127.0.0.1:C2S (starttls)\n',
      'ok     password checks for bots.example.org at 127.0.0.1:C2S (starttls)\n',
    ].join(''),
  };

  test('where all is right it says so and ends with 0', async () => {
    const port = await freePort();
    const settings = { http: { port }, delivery: { mode: 'plain' } };
    const { code, text, version } = await run(config(settings));
    const http = `ok     HTTP at 127.0.0.1:${port}: free to listen\n`;
    const bounces = {
      prosody: `bounces come back from this server, but not from others${isSince(version, '13.0') === true ? "; from a recipient who blocks the sender, on Prosody 13, only with bounce_blocked_messages = true (init's file has it)" : ''}`,
      ejabberd:
        'bounces do not come back: a message to a user who does not exist, or who blocks the sender, gets 200; ejabberd drops attributes of <message/> and <body/> that it does not know',
    };
    const modes = domains.map(
      (domain) =>
        `ok     messages of ${domain}: mode plain, as delivery.mode says; not in the sender's archive, nor on the sender's other devices; ${bounces[kind]}\n`,
    );
    expect(text).toBe(
      `${lines.configuration}${http}${lines.server}${lines.component}${modes.join('')}${lines.sizes}${lines.c2s}${lines.verdict}`,
    );
    expect(code).toBe(0);
  });

  test.each([
    ['127.0.0.1', undefined],
    ['0.0.0.0', 'http.metrics.host: anyone who can reach this address can read the metrics'],
  ])('of metrics at %s it says who can read them', async (host, advice) => {
    const port = await freePort();
    const { code, stdout } = await check(
      config({ http: { port: await freePort(), metrics: { host, port } } }),
      '--json',
    );
    const { findings }: { findings: object[] } = JSON.parse(stdout);
    expect(findings[2]).toEqual({
      ok: true,
      text: `metrics at ${host}:${port}: free to listen`,
      advice,
    });
    expect(code).toBe(0);
  });

  test('a port for metrics that somebody else has is told', async () => {
    const port = await holdPort((_req, res) =>
      res.end('node_exporter_build_info{version="1"} 1\n'),
    );
    const { code, text } = await run(
      config({ http: { port: await freePort(), metrics: { port } } }),
    );
    expect(text).toContain(
      `FAILED metrics at 127.0.0.1:${port}: another program listens there (it answers as node_exporter)
       Stop it, or change http.metrics.port. To see which program it is: sudo ss -ltnp 'sport = :${port}'
`,
    );
    expect(code).toBe(1);
  });

  test('for machines it says the same as JSON', async () => {
    const { code, stdout } = await check(config(), '--json');
    const { ok, findings }: { ok: boolean; findings: { ok: boolean }[] } = JSON.parse(stdout);
    expect([code, ok, findings.length]).toEqual([0, true, 9]);
    expect(findings.every((one) => one.ok)).toBe(true);
  });

  test.each([
    ['', 9],
    ['1', 0],
  ])('on a terminal it is in colour, unless NO_COLOR says no: %j', async (NO_COLOR, coloured) => {
    const file = join(directory, 'gateway.yaml');
    writeFileSync(file, stringify(config({ http: { port: await freePort() } })), { mode: 0o600 });
    const terminal = openTerminal(['check', '--config', file], { env: { NO_COLOR } });
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen().split('\u001b[32mok')).toHaveLength(coloured + 1);
  });

  test('where a better mode is to be had it prints the lines for it, once', async () => {
    const { code, text } = await run(config());
    expect(code).toBe(0);
    expect(text).toMatch(
      /^ok {5}messages of example\.org: mode plain; [^]*\nok {5}messages of bots\.example\.org: mode plain; .*\n\n {7}mod_message_gateway would make it mode client: messages would be in the sender's archive$/m,
    );
    expect(text.split(clientLines[kind])).toHaveLength(2);
    if (kind === 'prosody') {
      expect(text).toContain('below VirtualHost "example.org", VirtualHost "bots.example.org",');
    }
  });

  test.each(['client', 'privileged'])('mode %s that is not there is a failure', async (mode) => {
    const { code, text } = await run(config({ delivery: { mode } }));
    expect(code).toBe(1);
    expect(text).toContain(
      `${lines.server}FAILED component gateway.example.org at 127.0.0.1:COMPONENT: delivery.mode is ${mode}, which the XMPP server does not offer for example.org

       Set delivery.mode to auto or plain, or let the server offer the mode.

       client, on ${serverNames[kind]}: `,
    );
    expect(text).toContain(clientLines[kind]);
  });

  test.each([
    [
      'a wrong secret',
      { secret: 'wrong' },
      /Make component\.secret and component\.domain the same/,
    ],
    ['an unknown component', { domain: 'unknown.example.org' }, /component\.domain/],
  ])('with %s it prints the lines of this server only', async (_what, component, advice) => {
    const { code, text } = await run(config({ component }));
    expect(code).toBe(1);
    expect(text).toMatch(/^FAILED component /m);
    expect(text).toContain(`ok     XMPP server: ${serverNames[kind]}\n`);
    expect(text).toMatch(advice);
    expect(text).toContain(componentLines[kind]);
  });

  test('with a domain that is not hosted it prints the lines of this server only', async () => {
    const { code, text } = await run(config({ domains: [...domains, 'not-hosted.example'] }));
    expect(code).toBe(1);
    expect(text).toContain(lines.server);
    expect(text).toMatch(/^FAILED component .*not-hosted\.example/m);
    expect(text).toContain('Take not-hosted.example out of domains');
  });

  test('where it does not listen for components it prints the lines for that', async () => {
    const port = await freePort();
    const { code, text } = await run(config({ component: { port } }));
    expect(code).toBe(1);
    expect(text).toContain(
      `ok     XMPP server: ${serverNames[kind]}
FAILED component gateway.example.org at 127.0.0.1:${port}: nothing listens there (ECONNREFUSED)

       The XMPP server is running. Correct component.host and component.port, or let it listen for components there:
`,
    );
    expect(text).toContain(componentLines[kind]);
    expect(text).toContain(lines.c2s);
  });

  test('beside a running gateway it says that it is ready, and leaves the component stream alone', async () => {
    const metrics = { port: await freePort() };
    const gateway = await startGatewayProcess({ config: config({ http: { metrics } }) });
    onTestFinished(async () => void (await gateway.stop()));
    const { code, text } = await run(config({ http: { port: gateway.port, metrics } }));
    const said = [
      `ok     HTTP at 127.0.0.1:${gateway.port}: the gateway is running and ready\n`,
      `ok     metrics at 127.0.0.1:${metrics.port}: the gateway is running\n`,
      `ok     XMPP server: ${serverNames[kind]}\n`,
      'ok     component gateway.example.org at 127.0.0.1:COMPONENT: not tested: the stream is left to the running gateway\n',
      'ok     messages of example.org: mode plain; ',
    ].join('');
    expect(text.startsWith(lines.configuration + said)).toBe(true);
    expect(text.endsWith(lines.c2s + lines.verdict)).toBe(true);
    expect(code).toBe(0);
    await expectOneStream(gateway);

    const others = await run(
      config({
        domains: ['example.org'],
        http: { port: gateway.port, metrics },
        api_accounts: [],
        permissions: { xmppgateway: [] },
      }),
    );
    expect(others.text).toContain(
      `FAILED HTTP at 127.0.0.1:${gateway.port}: a gateway for other domains is running there (example.org, bots.example.org)\n`,
    );
    expect(others.code).toBe(1);
  });

  test('beside a gateway that was started before the file changed it leaves the component stream alone', async () => {
    const metrics = { port: await freePort() };
    const gateway = await startGatewayProcess({ config: config({ http: { metrics } }) });
    onTestFinished(async () => void (await gateway.stop()));
    const checkAgain = async (http: object) => {
      gateway.reconfigure(config({ http }));
      return await runCommand(['check', '--config', gateway.configFile]);
    };
    const untested =
      /^later {2}component gateway\.example\.org at .*: not tested, because process \d+, which serves this file, does not answer at 127\.0\.0\.1:\d+\n {7}Restart it, and run check again\.$/m;
    const moved = await checkAgain({ port: await freePort(), metrics });
    expect(moved.stdout).toMatch(untested);
    expect(moved.stdout).toMatch(
      /^later {2}metrics at .*: taken by the running gateway \(process/m,
    );
    expect([moved.code, moved.stdout.includes('FAILED')]).toEqual([0, false]);

    const port = await holdPort((_req, res) =>
      res.end(JSON.stringify({ status: 'ready', domains: {} })),
    );
    const other = await checkAgain({ port });
    expect(other.stdout).toMatch(untested);
    expect(other.stdout).toContain(
      `FAILED HTTP at 127.0.0.1:${port}: a gateway is already running there\n`,
    );
    expect(other.code).toBe(1);

    const { certFile, keyFile } = await createCertificates(directory, ['localhost']);
    const tls = { cert_file: certFile, key_file: keyFile };
    const encrypted = await checkAgain({ port: gateway.port, tls });
    expect(encrypted.stdout).toMatch(
      /^later {2}HTTP at .*: a gateway is running there, but without http\.tls: this one \(process \d+\), which was started before the file changed$/m,
    );
    expect(encrypted.stdout).toMatch(
      /^ok {5}component .*: not tested: the stream is left to the running gateway$/m,
    );
    expect(encrypted.code).toBe(0);
    await expectOneStream(gateway);
  });

  test('beside a gateway that hangs it does not take it for another program', async () => {
    const metrics = { port: await freePort() };
    const gateway = await startGatewayProcess({ config: config({ http: { metrics } }) });
    onTestFinished(async () => void (await gateway.stop()));
    gateway.signal('SIGSTOP');
    const watching = openTerminal(['check', '--config', gateway.configFile, '--watch']);
    const { code, stdout } = await runCommand(['check', '--config', gateway.configFile]);
    const hangs = `the running gateway (process ${gateway.pid}) has this port, but it does not answer`;
    expect(stdout).toContain(`FAILED HTTP at 127.0.0.1:${gateway.port}: ${hangs}
FAILED metrics at 127.0.0.1:${metrics.port}: ${hangs}
       Restart it, and run check again.
`);
    expect(code).toBe(1);
    const waiting = `the gateway (process ${gateway.pid}) has 127.0.0.1:${gateway.port}, but`;
    await waitUntil(() => watching.screen().includes(waiting), { label: 'the line' });
    gateway.signal('SIGCONT');
    expect(await watching.ended).toBe(0);
  });

  test('beside a gateway that is not ready it says why, and prints the lines that mend it', async () => {
    const wrong = config({ component: { secret: 'wrong' } });
    const gateway = await startGatewayProcess({ config: wrong, ready: false });
    onTestFinished(async () => void (await gateway.stop()));
    await gateway.waitForLine('component stream down');
    const { code, stdout } = await check({ ...wrong, http: { port: gateway.port } });
    expect(stdout).toContain(
      `FAILED HTTP at 127.0.0.1:${gateway.port}: the gateway is running, but not ready: the XMPP server refused component.secret`,
    );
    expect(stdout).toMatch(/^FAILED component .*\n\n {7}Make component\.secret/m);
    expect(code).toBe(1);
  });

  test('with --watch it waits until the gateway is ready, and says what it waits for', async () => {
    const port = await freePort();
    const file = join(directory, 'watched.yaml');
    const settings = config({ http: { port } });
    writeFileSync(file, stringify(settings), { mode: 0o600 });
    const watch = ['check', '--config', file, '--watch'];
    const terminal = openTerminal(watch);
    const piped = await startCommand(watch);
    const waiting = `no gateway is running at 127.0.0.1:${port}`;
    await waitUntil(() => terminal.screen().includes(waiting), { label: 'the line' });
    await waitUntil(() => piped.stdout().includes(waiting), { label: 'the line in the pipe' });
    const gateway = await startGatewayProcess({ config: settings });
    onTestFinished(async () => void (await gateway.stop()));
    expect(await terminal.ended).toBe(0);
    const ready = 'ready  example.org: mode plain, bots.example.org: mode plain';
    expect(terminal.screen().endsWith(`\r\u001b[K${ready}\r\n`)).toBe(true);
    expect(await piped.exited).toMatchObject({ code: 0 });
    const printed = piped.stdout().trimEnd().split('\n');
    expect(printed[0]).toMatch(/^To start the gateway: .* serve --config .*watched\.yaml$/);
    expect(printed[1]).toBe(`waiting: ${waiting}`);
    expect(printed.at(-1)).toBe(ready);
    // Only changes are printed.
    expect(new Set(printed).size).toBe(printed.length);
  });

  test('with --watch and the configuration of a service it names the commands of systemd', async () => {
    const folder = join(directory, 'of-a-service');
    mkdirSync(folder);
    chmodSync(folder, 0o2750);
    const file = join(folder, 'gateway.yaml');
    writeFileSync(file, stringify(config({ http: { port: await freePort() } })), { mode: 0o600 });
    const terminal = openTerminal(['check', '--config', file, '--watch']);
    await terminal.answer('waiting', '\x03');
    expect(terminal.screen()).toContain(
      'To start the gateway: systemctl start xmpp-message-gateway\r\nIts log: journalctl -u xmpp-message-gateway\r\n',
    );
    await terminal.ended;
  });

  test('where nothing listens it names the error, the keys to look at, and the lines of both servers', async () => {
    const [port, c2sPort] = [await freePort(), await freePort()];
    const c2s = { port: c2sPort, security: 'starttls' };
    const { code, stdout } = await check(config({ component: { port }, c2s }));
    expect(stdout).toContain(
      `FAILED component gateway.example.org at 127.0.0.1:${port}: nothing listens there (ECONNREFUSED)

       Is the XMPP server running, and does it listen for components there?

       Prosody (/etc/prosody/conf.d/gateway.cfg.lua):

         component_ports = { ${port} }
`,
    );
    expect(stdout).toContain(
      `FAILED password checks for example.org at 127.0.0.1:${c2sPort} (starttls): The XMPP server cannot be reached: connect ECONNREFUSED 127.0.0.1:${c2sPort}
FAILED password checks for bots.example.org at 127.0.0.1:${c2sPort} (starttls): The XMPP server cannot be reached: connect ECONNREFUSED 127.0.0.1:${c2sPort}

       Compare with the server's listener for clients:

         c2s.host, c2s.port  where it listens
`,
    );
    expect(stdout).toContain('ejabberd (/etc/ejabberd/gateway.yml):');
    expect(stdout).not.toContain('XMPP server:');
    expect(code).toBe(1);
  });

  test('the store is tried, too, and its password is not shown', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const http = { port: await freePort() };
    const place = new URL(redis.url).host;
    const good = await run(config({ http, store: redis.url }));
    expect(good.text).toContain(`ok     store at ${place}: accepts writes\n`);
    expect(good.code).toBe(0);
    const bad = await run(config({ http, store: redis.url.replace(redis.password, 'wrong-one') }));
    expect(bad.text).toMatch(`FAILED store at ${place}: WRONGPASS`);
    expect(bad.text).toContain('Is Redis (6 or newer) running there');
    expect(bad.text).not.toMatch(/wrong-one|redis-secret/);
    expect(bad.code).toBe(1);
  });

  test('a certificate that nobody needs yet is no failure', async () => {
    const { caFile } = await createCertificates(directory, ['example.org']);
    const c2s = { security: 'starttls', ca_file: caFile };
    const stateFile = join(directory, 'permissions.json');
    const settings = (...xmppgateway: string[]): object =>
      config({ c2s, permissions: { xmppgateway, state_file: stateFile } });
    const failed = /^FAILED password checks for bots\.example\.org /m;

    const nobody = await run(settings());
    expect(nobody.text).toMatch(
      /^later {2}password checks for example\.org at .* failed \(\w+\): .*\. This is not needed yet: no user of example\.org has the permission\.$/m,
    );
    expect(nobody.text).not.toContain('FAILED');
    expect(nobody.code).toBe(0);

    const one = await run(settings('bot@bots.example.org'));
    expect(one.text).toMatch(/^later {2}password checks for example\.org /m);
    expect(one.text).toMatch(failed);
    expect(one.code).toBe(1);

    writeFileSync(stateFile, '{"xmppgateway": ["*@bots.example.org"]}');
    const granted = await run(settings());
    expect(granted.text).toMatch(failed);
    expect(granted.code).toBe(1);
  });

  test('password checks that nobody needs, at a port for something else', async () => {
    const port = await holdPort((_req, res) => res.end());
    const { code, text } = await run(config({ c2s: { port }, permissions: { xmppgateway: [] } }));
    expect(text).toContain(
      'of example.org sent XML that is not well-formed. This is not needed yet: no user of example.org has',
    );
    expect(code).toBe(0);
  });

  test('a certificate of an unknown CA is told with its cause', async () => {
    const { caFile } = await createCertificates(directory, ['example.org']);
    const { code, text } = await run(config({ c2s: { security: 'starttls', ca_file: caFile } }));
    expect(text).toContain(lines.component);
    expect(text).toMatch(
      /^FAILED password checks for example\.org at .*: TLS with the XMPP server of example\.org failed \(\w+\): .*certificate.*\nFAILED password checks for bots\.example\.org .*\n\n {7}The server needs a certificate for the domain, from a CA(.*\n)*?.*c2s\.ca_file(.*\n)*?.*API accounts work without it\.$/m,
    );
    expect(code).toBe(1);
  });
});

describe.each(servers)('check against a strict $kind', ({ kind, start }) => {
  test('prints the line that makes it trust, of this server only', async () => {
    const server = await start({ strict: true, directTls: true });
    onTestFinished(server.stop);
    const c2s = { port: server.c2sTlsPort, security: 'tls' };
    const { code, stdout } = await check(gatewayConfig(server, { c2s }));
    expect(stdout).toMatch(/^FAILED component .* does not let gateway\.example\.org send/m);
    expect(stdout).toContain(`XMPP server: ${serverNames[kind]}\n`);
    const line = { prosody: 'validate_from_addresses = false', ejabberd: 'check_from: false' };
    expect(stdout).toContain(line[kind]);
    expect(stdout).not.toMatch(foreign[kind]);
    expect(code).toBe(1);

    // Recognised by its port for clients alone, which only speaks TLS.
    const silent = await check(
      gatewayConfig(server, { c2s, component: { port: await freePort() } }),
    );
    expect(silent.stdout).toContain(`XMPP server: ${serverNames[kind]}\n`);
  });
});

describe.each([
  { mode: 'client', setup: withModule, gain: undefined },
  { mode: 'privileged', setup: prosodyPrivilege, gain: 'bounces would come back' },
])('check against Prosody that offers mode $mode', ({ mode, setup, gain }) => {
  test('tells it, and what would be better', async () => {
    const server = await startProsody({ ...setup, domains });
    onTestFinished(server.stop);
    const { code, stdout } = await check(gatewayConfig(server));
    const found =
      /^ok {5}messages of .*: mode (\w+); in the sender's archive.* and on the sender's other/gm;
    expect([...stdout.matchAll(found)].map(([, name]) => name)).toEqual([mode, mode]);
    const better = 'mod_message_gateway would make it mode client';
    expect(stdout).not.toMatch(foreign.prosody);
    if (gain === undefined) expect(stdout).not.toContain(better);
    else expect(stdout).toContain(`${better}: ${gain}`);
    expect(code).toBe(0);
  });
});

test('a ban by mod_fail2ban of ejabberd is told with its remedy', async () => {
  const server = await startEjabberd({
    extra: { modules: ['mod_fail2ban:', '  c2s_max_auth_failures: 3'] },
  });
  onTestFinished(server.stop);
  for (let failures = 0; failures < 3; failures += 1) {
    await expect(openSessionOn(server, 'bob', 'wrong')).rejects.toThrow(
      /not-authorized|policy-violation/,
    );
  }
  const { code, stdout } = await check(gatewayConfig(server));
  expect(stdout).toMatch(
    /^FAILED password checks for .*policy-violation.*\n\n {7}mod_fail2ban has banned [^]* {11}access: trusted_network\n/m,
  );
  expect(code).toBe(1);
});
