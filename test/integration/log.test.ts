import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { basic, type HttpAnswer, post, type RequestOptions } from '../support/clients/http.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { openTerminal } from '../support/system/terminal.ts';
import { waitUntil } from '../support/system/wait.ts';

const alerts = [apiAccount.username, apiAccount.password] as const;
const bot = ['bot', 'bot-secret'] as const;

/** As fail2ban reads it: it puts a pattern of addresses for `<HOST>` and cuts the time out of lines. */
function readFailregex(): RegExp {
  const file = new URL('../../deploy/fail2ban.conf', import.meta.url);
  const text = /^failregex = (.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  return new RegExp(text.replace('<HOST>', '(?<host>[\\w:.]+)'));
}

describe.each(servers)('the log of a gateway on $kind', ({ start }) => {
  let server: XmppServer;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    server = await start({
      components: [{ domain: 'gateway.example.org', secret: 'component-secret' }],
    });
    await server.register('bob', 'bob-secret');
    await server.register('bot', 'bot-secret');
    const config = gatewayConfig(server, { log: { level: 'trace' }, auth: { cache_ms: 0 } });
    gateway = await startGatewayProcess({ config });
  });
  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
  });

  const send = (path: string, options: RequestOptions): Promise<HttpAnswer> =>
    post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages${path}`, options);
  const requests = (): Record<string, unknown>[] =>
    gateway.logLines().filter(({ msg, route }) => msg === 'request' && route !== 'health');
  /** Lines come by another way than answers. */
  const waitForRequests = (count: number): Promise<unknown> =>
    waitUntil(() => requests().length >= count, { label: `${count} lines` });
  const failures = (): string[] =>
    gateway
      .output()
      .split('\n')
      .filter((line) => line.endsWith('"msg":"login failed"}'));

  test('has one line for a request, with the id of the problem', async () => {
    const body = JSON.stringify({
      to: 'bob@Example.NET',
      body: 'hi',
      message_attributes: { a: [] },
    });
    const answer = await send('/Alice', { auth: alerts, body });
    const id = String(answer.json()['instance']).replace('urn:uuid:', '');
    await send('/alice', {});
    await waitForRequests(2);
    expect(requests().filter(({ request }) => request === id)).toEqual([
      {
        level: 30,
        time: expect.any(Number),
        request: id,
        method: 'POST',
        route: 'api',
        status: 422,
        code: 'invalid-message',
        account: 'alerts',
        action: 'send',
        sender: 'alice@example.org',
        address: '127.0.0.1',
        durationMs: expect.any(Number),
        msg: 'request',
      },
    ]);
  });

  test('has the trace that a request belongs to', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const before = requests().length;
    for (const traceparent of [`00-${trace}-00f067aa0ba902b7-01`, `00-${trace}`]) {
      await send('/alice', { headers: { traceparent } });
    }
    await waitForRequests(before + 2);
    const traces = requests()
      .slice(before)
      .map(({ traceId }) => traceId);
    expect(new Set(traces)).toEqual(new Set([trace, undefined]));
  });

  test('never holds a password, a header, a secret or a body', async () => {
    const text = 'the text of a body';
    const json = JSON.stringify({
      to: 'bob@example.org',
      body: text,
      extra_elements: `<x>${text}</x>`,
    });
    const xml = `<message to='bob@example.org'><body>${text}</body></message>`;
    const wrong = 'a-wrong-password';
    const attempts: [string, RequestOptions, number][] = [
      ['/alice', { auth: alerts, body: json }, 200],
      ['', { auth: bot, body: xml, type: 'application/xml' }, 200],
      ['/alice', { auth: alerts, body: json.slice(0, -1) }, 400],
      ['/alice', { auth: alerts, body: xml.slice(0, -1), type: 'application/xml' }, 400],
      ['/alice', { auth: alerts, body: json.replace('"body"', `"${text}"`) }, 422],
      ['/alice', { auth: alerts, body: json.repeat(10_000) }, 413],
      [`/alice?password=${wrong}`, { auth: alerts, body: json }, 422],
      ['/alice', { auth: [apiAccount.username, wrong], body: json }, 401],
      ['', { auth: ['bot', wrong], body: json }, 401],
      ['', { auth: ['nobody', wrong], body: json }, 401],
      ['', { auth: `Bearer ${wrong}`, body: json }, 401],
      ['', { auth: `Basic ${wrong}`, body: json }, 401],
      [`/${wrong}%00`, { auth: alerts, body: json }, 404],
    ];
    const before = requests().length;
    for (const [path, options, expected] of attempts) {
      const { status } = await send(path, options);
      expect(status, JSON.stringify([path, options])).toBe(expected);
    }
    const headers = [alerts, bot, ['bot', wrong], ['nobody', wrong]].map(([user = '', password]) =>
      basic(user, password ?? ''),
    );
    const secrets = [
      text,
      wrong,
      apiAccount.password,
      'bot-secret',
      'component-secret',
      '$scrypt$',
      ...headers.map((header) => header.replace('Basic ', '')),
    ];
    await waitForRequests(before + attempts.length);
    const output = gateway.output();
    expect(secrets.filter((secret) => output.includes(secret))).toEqual([]);
  });

  test('names address and user of a failed login, for fail2ban', async () => {
    const before = failures().length;
    const forged = '","address","192.0.2.6","msg","login failed"}';
    const users = ['mallory', 'mallory@example.org', forged, 'ü'.repeat(200)];
    for (const user of users) {
      expect((await send('', { auth: [user, 'wrong'], body: '{}' })).status).toBe(401);
      expect((await send('/alice', { auth: [user, 'wrong'], body: '{}' })).status).toBe(401);
    }
    const lines = await waitUntil(
      () =>
        failures().length === before + 2 * users.length ? failures().slice(before) : undefined,
      { label: 'a line for each' },
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      users
        .flatMap((user) => [user, user])
        .map((user) => ({
          level: 40,
          time: expect.any(Number),
          address: '127.0.0.1',
          user: user.slice(0, 100),
          msg: 'login failed',
        })),
    );
    const failregex = readFailregex();
    const hosts = lines.map((line) => failregex.exec(line)?.groups?.['host']);
    expect(new Set(hosts)).toEqual(new Set(['127.0.0.1']));
  });

  test('is for people with --log-format pretty', async () => {
    await gateway.stop();
    gateway = await startGatewayProcess({
      config: gatewayConfig(server),
      serveArgs: ['--log-format', 'pretty'],
    });
    await send('', { auth: ['mallory', 'wrong'], body: '{}' });
    const line =
      /^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: login failed \{"address":"127\.0\.0\.1","user":"mallory"\}$/m;
    await waitUntil(() => line.test(gateway.output()), { label: 'the line' });
    const request =
      / INFO: request \{"request":"[^"]+","method":"POST","route":"user","status":401,/;
    await waitUntil(() => request.test(gateway.output()), { label: 'the line of the request' });
    expect(gateway.output()).not.toContain('{"level"');
  });

  test('says why a password could not be checked; the caller is not told', async () => {
    const port = await freePort();
    const config = gatewayConfig(server, { c2s: { port } });
    await gateway.stop();
    gateway = await startGatewayProcess({ config });
    const answer = await send('', { auth: bot, body: '{}' });
    expect(answer.json()).toMatchObject({
      code: 'authentication-unavailable',
      detail: 'The XMPP server cannot be reached.',
    });
    expect(answer.body).not.toContain(`${port}`);
    await waitForRequests(1);
    const line = requests().find(({ code }) => code === 'authentication-unavailable');
    expect(line?.['reason']).toBe(
      `The XMPP server cannot be reached: connect ECONNREFUSED 127.0.0.1:${port}`,
    );
    expect(failures()).toEqual([]);
  });

  test.each(['json', 'pretty'])(
    'is no reason to stop when it cannot be written: %s',
    async (format) => {
      await gateway.stop();
      const preload = `import fs from 'node:fs'; fs.closeSync(1); fs.openSync('/dev/full', 'w');`;
      gateway = await startGatewayProcess({
        config: gatewayConfig(server),
        serveArgs: ['--log-format', format],
        nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
      });
      const body = JSON.stringify({ to: 'bob@example.org', body: 'hi' });
      expect((await send('/alice', { auth: alerts, body })).status).toBe(200);
      expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    },
  );
});

test.each([
  [[], /\[[\d:.]{12}\] INFO: listening for HTTP \{"host":"127\.0\.0\.1","port":\d+\}/],
  [['--log-format', 'json'], /^\{"level":30,.*"msg":"listening for HTTP"\}\s*$/m],
])('the log on a terminal with %j', async (args, line) => {
  const directory = createDirectory('log-terminal');
  onTestFinished(() => removeDirectory(directory));
  const file = join(directory, 'gateway.yaml');
  const config = {
    component: { domain: 'gateway.example.org', secret: 'secret', port: await freePort() },
    domains: ['example.org'],
    http: { port: await freePort() },
  };
  writeFileSync(file, stringify(config), { mode: 0o600 });
  const terminal = openTerminal(['serve', '--config', file, ...args], { env: { NO_COLOR: '1' } });
  await terminal.answer('listening for HTTP', '\u0003');
  expect(await terminal.ended).toBe(0);
  expect(terminal.screen()).toMatch(line);
  expect(terminal.screen()).toContain('stopped');
});
