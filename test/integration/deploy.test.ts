import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/config.ts';
import { post, request } from '../support/clients/http.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  runCommand,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { readBlocks } from '../support/gateway/recipe.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import {
  createDirectory,
  removeDirectory,
  runChild,
  runToSuccess,
} from '../support/system/processes.ts';
import { type RedisServer, startRedis } from '../support/system/redis.ts';
import { waitUntil } from '../support/system/wait.ts';

const deploy = (name: string): string =>
  fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

describe.each(servers)('what deploy/ has for the gateway on $kind', ({ start }) => {
  let server: XmppServer;
  let redis: RedisServer;
  let gateway: GatewayProcess;
  let metricsUrl: string;

  beforeAll(async () => {
    [server, redis] = await Promise.all([start(), startRedis()]);
    await server.register('bot', 'bot-secret');
    const port = await freePort();
    metricsUrl = `http://127.0.0.1:${port}/metrics`;
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, { http: { metrics: { port } }, store: redis.url }),
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
    await redis?.stop();
  });

  const send = async (password: string): Promise<number> => {
    const url = `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`;
    const body = JSON.stringify({ to: 'bot@example.org', body: 'hi' });
    return (await post(url, { auth: ['bot', password], body })).status;
  };
  const readMetrics = async (): Promise<string> => (await request(metricsUrl)).body;

  test('counts what is sent, and who logs in how', async () => {
    expect([await send('bot-secret'), await send('bot-secret'), await send('wrong')]).toEqual([
      200, 200, 401,
    ]);
    const lines = (await readMetrics()).split('\n');
    for (const line of [
      'requests_total{endpoint="user",code="ok"} 2',
      'requests_total{endpoint="user",code="unauthenticated"} 1',
      'request_duration_seconds_count{endpoint="user"} 3',
      'deliveries_total{outcome="confirmed"} 2',
      'delivery_duration_seconds_count 2',
      'logins_total{result="checked"} 1',
      'logins_total{result="cached"} 1',
      'logins_total{result="refused"} 1',
      'password_checks_total{result="right"} 1',
      'password_checks_total{result="wrong"} 1',
      'password_check_duration_seconds_count 2',
      'stream_ready 1',
      'stream_connects_total 1',
      'late_bounces_total 0',
      'late_receipts_total 0',
      'in_flight_messages 0',
      'in_flight_bytes 0',
    ]) {
      expect(lines).toContain(`xmpp_message_gateway_${line}`);
    }
    expect(lines.some((line) => /^process_resident_memory_bytes \d/.test(line))).toBe(true);
    expect(lines.some((line) => /barrier_duration_seconds_count [1-9]/.test(line))).toBe(true);
  });

  test('tells whether the store can be used', async () => {
    const untilItSays = (value: number): Promise<unknown> =>
      waitUntil(
        async () =>
          (await readMetrics()).includes(`\nxmpp_message_gateway_store_available ${value}\n`),
        { label: `the metric to be ${value}` },
      );
    await untilItSays(1);
    await redis.halt();
    await untilItSays(0);
    await redis.resume();
    await untilItSays(1);
  });

  test('reads only metrics that there are', async () => {
    const known = await readMetrics();
    for (const name of ['alerts.yml', 'grafana-dashboard.json']) {
      const used = readFileSync(deploy(name), 'utf8').match(
        /\b(?:xmpp_message_gateway|nodejs|process)_\w+/g,
      );
      const missing = (used ?? []).filter(
        (metric) => !new RegExp(`^${metric}[{ ]`, 'm').test(known),
      );
      expect([name, missing]).toEqual([name, []]);
    }
  });

  test('has nothing but metrics there', async () => {
    const url = metricsUrl.replace('/metrics', '/readyz');
    expect((await request(url)).status).toBe(404);
    expect((await request(`${gateway.url}/metrics`)).status).toBe(404);
  });

  test('finds failed logins with fail2ban', async () => {
    await send('wrong again');
    await gateway.waitForLine('login failed');
    const directory = createDirectory('fail2ban');
    const log = join(directory, 'gateway.log');
    const failures = gateway.logLines().filter(({ msg }) => msg === 'login failed');
    writeFileSync(log, gateway.output());
    const { code, stdout } = await runChild({
      file: 'fail2ban-regex',
      args: [log, deploy('fail2ban.conf')],
    });
    removeDirectory(directory);
    expect([code, failures.length > 0]).toEqual([0, true]);
    expect(stdout).toMatch(new RegExp(`^Failregex: ${failures.length} total`, 'm'));
  });
});

test.each([
  ['promtool', 'check rules', deploy('alerts.yml')],
  ['promtool', 'test rules', fileURLToPath(new URL('alerts.yml', import.meta.url))],
])('%s %s finds nothing wrong', async (file, command, path) => {
  const args = [...command.split(' '), path];
  const { code, stdout, stderr } = await runChild({ file, args });
  expect([code, stdout, stderr].join('\n')).toMatch(/^0\n/);
});

describe('the dashboard', () => {
  interface Panel {
    readonly title: string;
    readonly description: string;
    readonly datasource: object;
    readonly fieldConfig: { readonly defaults: { readonly unit: string } };
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }
  const { panels, templating }: { panels: Panel[]; templating: { list: { name: string }[] } } =
    JSON.parse(readFileSync(deploy('grafana-dashboard.json'), 'utf8'));
  const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  /** Rates, durations and sizes cannot share an axis. */
  const quantityOf = (expr: string): string =>
    [/quantile|lag_/, /cpu_seconds/, /\brate\(/, /\bincrease\(/].find((part) => part.test(expr))
      ?.source ?? 'value';

  test('lets people choose data source, job and instance', () => {
    expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'job', 'instance']);
  });

  test.each(panels)('explains "$title" and has one unit in it', (panel) => {
    expect(panel.description).toMatch(/^[A-Z].*\.$/);
    expect(panel.datasource).toMatchObject({ uid: expect.stringMatching(/^\$\{datasource\}$/) });
    expect(panel.targets.map(({ legendFormat }) => legendFormat)).not.toContain('');
    const quantities = new Set(panel.targets.map(({ expr }) => quantityOf(expr)));
    expect([...quantities]).toHaveLength(1);
    const isDuration = quantities.has(quantityOf('quantile'));
    expect(panel.fieldConfig.defaults.unit === 's').toBe(isDuration);
  });

  test.each(queries)('asks for the chosen instances, over a range that fits: %s', (expr) => {
    expect(expr).toContain('{job=~"$job",instance=~"$instance"');
    const ranges = expr.match(/\[[^\]]*\]/g) ?? [];
    expect(ranges.filter((range) => range !== '[$__rate_interval]')).toEqual([]);
    expect(ranges).toHaveLength(/\b(?:rate|increase)\(/.test(expr) ? 1 : 0);
  });

  test('has queries that Prometheus understands', async () => {
    const directory = createDirectory('dashboard');
    onTestFinished(() => removeDirectory(directory));
    const rules = queries.map((expr, index) => ({
      record: `dashboard:query${index}`,
      expr: expr.replaceAll('$__rate_interval', '1m'),
    }));
    const file = join(directory, 'rules.yml');
    writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { code, stderr } = await runChild({ file: 'promtool', args: ['check', 'rules', file] });
    expect([code, stderr]).toEqual([0, '']);
  });
});

test('Prometheus understands the configuration that docs/operating.md shows', async () => {
  const directory = createDirectory('prometheus');
  onTestFinished(() => removeDirectory(directory));
  const [config = ''] = readBlocks('operating.md', 'yaml');
  writeFileSync(join(directory, 'prometheus.yml'), config);
  cpSync(deploy('alerts.yml'), join(directory, 'alerts.yml'));
  const args = ['check', 'config', join(directory, 'prometheus.yml')];
  expect(await runToSuccess({ file: 'promtool', args })).toMatch(
    /1 rule files found.*10 rules found/s,
  );
});

test('systemd-analyze finds nothing wrong', async () => {
  const directory = createDirectory('unit');
  const unit = join(directory, 'xmpp-message-gateway.service');
  // The command need not be installed here.
  const text = readFileSync(deploy('xmpp-message-gateway.service'), 'utf8');
  writeFileSync(unit, text.replace('ExecStart=xmpp-message-gateway', 'ExecStart=/usr/bin/env'));
  const verify = { file: 'systemd-analyze', args: ['verify', '--man=no', unit] };
  const { code, stdout, stderr } = await runChild(verify);
  removeDirectory(directory);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('init writes what the group of the service can read, but not the secret', async () => {
  const directory = createDirectory('service');
  chmodSync(directory, 0o2750);
  const config = join(directory, 'gateway.yaml');
  const args = ['init', '--domain', 'example.org', '--server', 'prosody', '--config', config];
  expect((await runCommand(args)).code).toBe(0);
  const modes = ['gateway.yaml', 'component.secret'].map(
    (name) => statSync(join(directory, name)).mode & 0o777,
  );
  removeDirectory(directory);
  expect(modes).toEqual([0o640, 0o600]);
});

test('the Dockerfile copies all that its build needs, and all that has to run', async () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const dockerfile = readFileSync(deploy('Dockerfile'), 'utf8');
  const [, build = '', final = ''] = dockerfile.split(/^FROM .*$/m);
  const directory = createDirectory('docker');
  const image = createDirectory('docker-image');
  const copy = (stage: string, to: string): void => {
    for (const [, fromBuild, words = ''] of stage.matchAll(/^COPY (--from=build )?(.+)$/gm)) {
      const from = fromBuild === undefined ? root : directory;
      for (const source of words.split(' ').slice(0, -1)) {
        const name = source.replace('/build/', '');
        cpSync(join(from, name), join(to, name), { recursive: true });
      }
    }
  };
  try {
    copy(build, directory);
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    await runToSuccess({ file: 'npm', args: ['run', '--silent', 'build'], cwd: directory });
    copy(final, image);
    for (const name of ['main.js', 'docs/page.html']) {
      expect(existsSync(join(image, 'dist', name))).toBe(true);
    }
    // It loads all commands.
    const help = { file: 'node', args: ['dist/main.js', '--help'], cwd: image };
    expect(await runToSuccess(help)).toContain('xmpp-message-gateway send');
  } finally {
    removeDirectory(image);
    removeDirectory(directory);
  }
});

test('the trial has the same secret on both sides, and all files that its image needs', async () => {
  const { component } = await loadConfig(deploy('trial/gateway.yaml'));
  const dockerfile = readFileSync(deploy('trial/Dockerfile'), 'utf8');
  expect(dockerfile).toContain(` XMG_COMPONENT=${component.domain} `);
  expect(dockerfile).toContain(` XMG_COMPONENT_SECRET=${component.secret.reveal()} `);
  const [, copied = ''] = /^COPY (.*) \.\/$/m.exec(dockerfile) ?? [];
  const missing = copied.split(' ').filter((name) => !existsSync(deploy(`../${name}`)));
  expect([copied.split(' ').length, missing]).toEqual([3, []]);
  const { services }: { services: Record<string, { build: { dockerfile: string } }> } = parse(
    readFileSync(deploy('compose.yaml'), 'utf8'),
  );
  expect(Object.values(services).map(({ build }) => build.dockerfile)).toEqual([
    'deploy/trial/Dockerfile',
    'deploy/Dockerfile',
  ]);
});
