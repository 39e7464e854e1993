import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openComponent } from '../support/clients/component.ts';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { find } from '../support/clients/stanza.ts';
import {
  apiAccount,
  apiPasswordHash,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { arrivedIds, idsWith, startLoad, waitForMore } from '../support/gateway/load.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory, runToSuccess } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const messages = '/api/1.0/xmppdomains/example.org/gateway/messages';

type Credentials = readonly [user: string, password: string];
const alerts: Credentials = [apiAccount.username, apiAccount.password];

const bot: Credentials = ['bot', 'bot-secret'];

async function waitForLine(gateway: GatewayProcess, msg: string) {
  return await waitUntil(() => gateway.logLines().find((line) => line['msg'] === msg), {
    label: `the log line "${msg}"`,
  });
}

async function waitUntilRefused({ url }: GatewayProcess): Promise<void> {
  await waitUntil(
    () =>
      request(`${url}/livez`).then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    { label: 'refused connections' },
  );
}

/** A pipe that is full and that nobody reads; `fd` is where it is written to. */
async function openFullPipe(): Promise<{ readonly fd: number; close(): void }> {
  const directory = createDirectory('full-pipe');
  const path = join(directory, 'pipe');
  await runToSuccess({ file: 'mkfifo', args: [path] });
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const line = Buffer.alloc(4096, 'x');
  try {
    for (;;) writeSync(reader, line);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
  }
  // Opened anew, for a writer that waits, as those of pipelines do.
  const fd = openSync(path, 'w');
  return {
    fd,
    close: () => {
      for (const each of [fd, reader]) closeSync(each);
      removeDirectory(directory);
    },
  };
}

describe.each(servers)('signals to a gateway on $kind', ({ start }) => {
  let server: XmppServer;
  let gateway: GatewayProcess | undefined;

  beforeAll(async () => {
    server = await start();
    await server.register('bob', 'bob-secret');
    await server.register('bot', 'bot-secret');
  });
  afterAll(async () => {
    await server?.stop();
  });
  afterEach(async () => {
    server.kill('SIGCONT');
    await gateway?.stop();
    gateway = undefined;
  });

  const startGateway = async (
    settings = {},
    options: { readonly stdout?: number } = {},
  ): Promise<GatewayProcess> => {
    gateway = await startGatewayProcess({ config: gatewayConfig(server, settings), ...options });
    return gateway;
  };
  const send = ({ url }: GatewayProcess, auth = alerts, path = '/alice'): Promise<HttpAnswer> =>
    post(`${url}${messages}${path}`, {
      auth,
      body: JSON.stringify({ to: 'bob@example.org', body: 'hi' }),
    });
  const codeOf = (answer: HttpAnswer): unknown =>
    answer.status === 200 ? 200 : answer.json()['code'];

  test('SIGTERM under load: what is in flight gets 200, nothing else is taken in', async () => {
    const target = await startGateway();
    const bob = await openSessionOn(server, 'bob', 'bob-secret');
    const load = startLoad(target, { clients: 8, to: 'bob@example.org' });
    await waitForMore(load, 200, 100);
    // The server answers nothing for a while, so that the signal finds messages in flight.
    server.kill('SIGSTOP');
    await waitUntil(() => load.pending.size === 8, { label: 'a message of each client' });
    const inFlight = [...load.pending];
    // Its answer shows that the gateway has read what came before.
    expect((await request(`${target.url}/livez`)).status).toBe(200);

    target.signal('SIGTERM');
    await waitUntilRefused(target);
    expect(target.isRunning()).toBe(true);
    server.kill('SIGCONT');
    expect(await target.exited).toEqual({ code: 0, signal: null });
    await load.stop();

    const confirmed = idsWith(load.outcomes, 200);
    expect(confirmed).toEqual(expect.arrayContaining(inFlight));
    const statuses = new Set(load.outcomes.map(({ answer }) => answer?.status));
    expect([...statuses]).toEqual([200, undefined]);
    await waitUntil(() => confirmed.every((id) => arrivedIds(bob).includes(id)), {
      label: 'all that got 200',
    });
    await bob.settle();
    expect(arrivedIds(bob).toSorted()).toEqual(confirmed.toSorted());
    await bob.close();
    expect(target.logLines().map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['stopping', 'stopped']),
    );
  });

  test('SIGTERM waits no longer than delivery.confirm_timeout_ms', async () => {
    const target = await startGateway({ delivery: { confirm_timeout_ms: 500 } });
    server.kill('SIGSTOP');
    const answer = send(target);
    expect((await request(`${target.url}/livez`)).status).toBe(200);
    target.signal('SIGTERM');
    expect(codeOf(await answer)).toBe('delivery-unknown');
    expect(await target.exited).toEqual({ code: 0, signal: null });
  });

  test('a second signal ends it at once', async () => {
    const target = await startGateway();
    server.kill('SIGSTOP');
    const answer = send(target).catch(() => 'cut off');
    expect((await request(`${target.url}/livez`)).status).toBe(200);
    target.signal('SIGINT');
    expect(await waitForLine(target, 'stopping')).toMatchObject({ signal: 'SIGINT' });
    expect(target.isRunning()).toBe(true);
    target.signal('SIGTERM');
    expect(await target.exited).toEqual({ code: null, signal: 'SIGTERM' });
    expect(await answer).toBe('cut off');
  });

  test('a log that nobody reads does not keep it from ending', async () => {
    const log = await openFullPipe();
    const target = await startGateway({}, { stdout: log.fd });
    expect(codeOf(await send(target))).toBe(200);
    target.signal('SIGTERM');
    expect(await target.exited).toEqual({ code: 0, signal: null });
    log.close();
  });

  test('nor does it at the second signal, with a message in flight', async () => {
    const log = await openFullPipe();
    const target = await startGateway({}, { stdout: log.fd });
    server.kill('SIGSTOP');
    const answer = send(target).catch(() => 'cut off');
    expect((await request(`${target.url}/livez`)).status).toBe(200);
    target.signal('SIGTERM');
    await waitUntilRefused(target);
    expect(target.isRunning()).toBe(true);
    target.signal('SIGINT');
    expect(await target.exited).toEqual({ code: null, signal: 'SIGINT' });
    expect(await answer).toBe('cut off');
    log.close();
  });

  test('SIGUSR1 does not open the inspector', async () => {
    const target = await startGateway();
    target.signal('SIGUSR1');
    target.signal('SIGHUP');
    await waitForLine(target, 'accounts and permissions reloaded');
    expect(codeOf(await send(target))).toBe(200);
    expect(target.output()).not.toContain('Debugger');
  });

  test('SIGHUP takes over accounts and permissions, and the stream stays up', async () => {
    const target = await startGateway({ auth: { cache_ms: 3_600_000 } });
    expect(codeOf(await send(target))).toBe(200);
    expect(codeOf(await send(target, bot, ''))).toBe(200);
    expect(codeOf(await send(target, ['pager', apiAccount.password]))).toBe('unauthenticated');

    // The same password, hashed with another salt: what was known of the old hash is forgotten.
    const account = { domains: ['example.org'], password_hash: apiPasswordHash };
    const [kept] = apiPasswordHash.split(/[^$]+$/);
    const changed = `${kept}${'A'.repeat(43)}`;
    const load = startLoad(target, { clients: 2, to: 'bob@example.org' });
    await waitForMore(load, 200, 20);
    target.reconfigure(
      gatewayConfig(server, {
        auth: { cache_ms: 3_600_000 },
        api_accounts: [
          { ...account, username: apiAccount.username },
          { ...account, username: 'pager' },
        ],
        permissions: { xmppgateway: ['carol@example.org'] },
      }),
    );
    target.signal('SIGHUP');
    await waitForLine(target, 'accounts and permissions reloaded');
    await waitForMore(load, 200, 20);
    await load.stop();
    expect(idsWith(load.outcomes, 200)).toHaveLength(load.outcomes.length);
    expect(codeOf(await send(target, ['pager', apiAccount.password]))).toBe(200);
    expect(codeOf(await send(target, bot, ''))).toBe('permission-missing');

    target.reconfigure(
      gatewayConfig(server, {
        auth: { cache_ms: 3_600_000 },
        api_accounts: [{ ...account, username: apiAccount.username, password_hash: changed }],
      }),
    );
    target.signal('SIGHUP');
    await waitUntil(async () => codeOf(await send(target)) === 'unauthenticated', {
      label: 'the old password to be refused',
    });
    expect(codeOf(await send(target, ['pager', apiAccount.password]))).toBe('unauthenticated');
    expect(codeOf(await send(target, bot, ''))).toBe(200);
    const ready = target.logLines().filter(({ msg }) => msg === 'component stream ready');
    expect(ready).toHaveLength(1);
  });

  test('SIGHUP while the program is being loaded does nothing', async () => {
    // The hook runs in a separate thread, so the signal comes before `serve` is there.
    const hook = `export async function load(url, context, next) {
      if (/\\/serve[^/]*\\.js$/.test(url)) {
        process.kill(process.pid, 'SIGHUP');
        process.stderr.write('hung up\\n');
      }
      return next(url, context);
    }`;
    const hookUrl = `data:text/javascript,${encodeURIComponent(hook)}`;
    const preload = `import { register } from 'node:module'; register(${JSON.stringify(hookUrl)});`;
    gateway = await startGatewayProcess({
      config: gatewayConfig(server),
      nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
    });
    expect(gateway.output()).toContain('hung up');
    expect(codeOf(await send(gateway))).toBe(200);
  });

  test('SIGHUP while the configuration is being read is obeyed as soon as the gateway runs', async () => {
    const directory = createDirectory('early');
    const pipe = join(directory, 'component.secret');
    await runToSuccess({ file: 'mkfifo', args: [pipe] });
    const target = await startGatewayProcess({
      config: gatewayConfig(server, { component: { secret: undefined, secret_file: pipe } }),
      ready: false,
    });
    gateway = target;
    // Opens when somebody reads.
    const secret = await open(pipe, 'w');
    target.signal('SIGHUP');
    await secret.writeFile(server.componentSecret);
    await secret.close();
    await waitForLine(target, 'listening for HTTP');
    await writeFile(pipe, server.componentSecret);
    await waitForLine(target, 'accounts and permissions reloaded');
    await target.waitUntilReady();
    removeDirectory(directory);
  });

  test('SIGHUP names the changed keys that need a restart, and nothing of them holds', async () => {
    const target = await startGateway();
    target.reconfigure(
      gatewayConfig(server, {
        component: { secret: 'new-component-secret' },
        domains: ['example.org', 'second.example'],
        limits: { body_bytes: 1 },
        http: { trusted_proxies: ['127.0.0.1'] },
        permissions: { xmppgateway: [] },
      }),
    );
    target.signal('SIGHUP');
    const warning = await waitForLine(target, 'changed keys need a restart and were ignored');
    expect(warning['level']).toBe(40);
    expect((warning['keys'] as string[]).toSorted()).toEqual([
      'component.secret',
      'domains',
      'http.trusted_proxies',
      'limits.body_bytes',
    ]);
    await waitForLine(target, 'accounts and permissions reloaded');
    expect(codeOf(await send(target))).toBe(200);
    expect(codeOf(await send(target, bot, ''))).toBe('permission-missing');
    expect(target.output()).not.toContain('new-component-secret');
  });

  test('SIGHUP with a faulty file keeps the old accounts and permissions', async () => {
    const target = await startGateway();
    target.reconfigure(
      gatewayConfig(server, {
        api_accounts: [],
        permissions: { xmppgateway: [] },
        limits: { dept: 3 },
        http: { host: '*' },
      }),
    );
    target.signal('SIGHUP');
    const refusal = await waitForLine(target, 'configuration not reloaded: the old one stays');
    expect(refusal).toMatchObject({
      level: 50,
      faults: [{ path: 'http.host', got: '"*"' }, { path: 'limits.dept' }],
    });
    expect(codeOf(await send(target))).toBe(200);
    expect(codeOf(await send(target, bot, ''))).toBe(200);

    target.reconfigure(gatewayConfig(server, { permissions: { xmppgateway: [] } }));
    target.signal('SIGHUP');
    await waitForLine(target, 'accounts and permissions reloaded');
    expect(codeOf(await send(target, bot, ''))).toBe('permission-missing');
  });
});

test('SIGTERM while the XMPP server is away ends it with 0', async () => {
  const config = {
    component: { domain: 'gateway.example.org', port: await freePort(), secret: 'secret' },
    domains: ['example.org'],
  };
  const gateway = await startGatewayProcess({ config, ready: false });
  await waitForLine(gateway, 'component stream down');
  expect(await gateway.stop('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('SIGTERM does not wait for the recipient’s server', async () => {
  const remote = { domain: 'silent.example.net', secret: 'silent-secret' };
  const own = { domain: 'gateway.example.org', secret: 'component-secret' };
  const server = await startProsody({ ...withModule, components: [own, remote] });
  await server.register('bot', 'bot-secret');
  const silent = await openComponent({ ...remote, port: server.componentPort });
  const gateway = await startGatewayProcess({
    config: gatewayConfig(server, { delivery: { remote_confirm_ms: 600_000 } }),
  });
  const answer = post(`${gateway.url}${messages}/bot`, {
    auth: alerts,
    body: JSON.stringify({ to: `x@${remote.domain}`, body: 'hi' }),
  });
  await silent.waitFor(({ root }) => find(root, 'ping') !== undefined, 'the ping');
  const exit = await gateway.stop();
  expect((await answer).json()).toMatchObject({ status: 'success', confirmed: 'server' });
  expect(exit).toEqual({ code: 0, signal: null });
  silent.destroy();
  await server.stop();
});
