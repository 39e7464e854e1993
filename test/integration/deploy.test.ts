import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { post, request } from '../support/clients/http.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
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

  test('has the command that checks a configuration which names a credential', async () => {
    const directory = createDirectory('credential');
    const credentials = '/run/credentials/xmpp-message-gateway.service';
    const config = gatewayConfig(server, {
      http: { port: gateway.port },
      component: { secret: undefined, secret_file: `${credentials}/component.secret` },
    });
    writeFileSync(join(directory, 'gateway.yaml'), stringify(config));
    writeFileSync(join(directory, 'component.secret'), `${server.componentSecret}\n`);
    const [command = ''] =
      /^sed .*\|\n.* check .*$/m.exec(readFileSync(deploy('README.md'), 'utf8')) ?? [];
    const here = command
      .replaceAll('/etc/xmpp-message-gateway', directory)
      .replaceAll('/opt/xmpp-message-gateway', fileURLToPath(new URL('../..', import.meta.url)));
    const { stdout, stderr } = await runChild({ file: 'sh', args: ['-c', here] });
    removeDirectory(directory);
    expect([stdout.split('\n')[0], stderr]).toEqual(['ok     configuration: /dev/stdin', '']);
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
  ['promtool', ['check', 'rules', deploy('alerts.yml')]],
  ['systemd-analyze', ['verify', deploy('xmpp-message-gateway.service')]],
])('%s finds nothing wrong', async (file, args) => {
  const { code, stdout, stderr } = await runChild({ file, args });
  expect([code, stdout, stderr].join('\n')).toMatch(/^0\n/);
});

test('the Dockerfile copies all that its build needs, and all that has to run', async () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const dockerfile = readFileSync(deploy('Dockerfile'), 'utf8');
  const [, build = '', final = ''] = dockerfile.split(/^FROM .*$/m);
  const directory = createDirectory('docker');
  const image = createDirectory('docker-image');
  const copy = (stage: string, from: string, to: string): void => {
    for (const [, words = ''] of stage.matchAll(/^COPY (?:--from=build )?(.+)$/gm)) {
      for (const source of words.split(' ').slice(0, -1)) {
        const name = source.replace('/build/', '');
        cpSync(join(from, name), join(to, name), { recursive: true });
      }
    }
  };
  try {
    copy(build, root, directory);
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    await runToSuccess({ file: 'npm', args: ['run', '--silent', 'build'], cwd: directory });
    copy(final, directory, image);
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
