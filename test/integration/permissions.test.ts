import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import {
  apiAccount,
  apiPasswordHash,
  type GatewayProcess,
  gatewayConfig,
  runCommand,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { readBlocks, writeProgram } from '../support/gateway/recipe.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { createDirectory, removeDirectory, runToSuccess } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const admin: readonly [string, string] = ['admin', apiAccount.password];

describe.each(servers)('permissions over HTTP on $kind', ({ start }) => {
  const directory = createDirectory('permissions');
  const stateFile = join(directory, 'grants.json');
  let server: XmppServer;
  let gateway: GatewayProcess;
  let config: Parameters<typeof startGatewayProcess>[0]['config'];

  beforeAll(async () => {
    server = await start();
    await server.register('bot', 'bot-secret');
    await server.register('alice', 'alice-secret');
    config = gatewayConfig(server, {
      api_accounts: [apiAccount.username, 'admin'].map((username) => ({
        username,
        password_hash: apiPasswordHash,
        domains: ['example.org'],
        manage: username === 'admin',
      })),
      permissions: { state_file: stateFile },
    });
    gateway = await startGatewayProcess({ config });
  });
  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
    removeDirectory(directory);
  });

  const aclUrl = (user: string): string =>
    `${gateway.url}/api/1.0/xmppdomains/example.org/users/${user}/acl`;
  const put = (user: string, isGranted: unknown, auth = admin): Promise<HttpAnswer> =>
    request(aclUrl(user), {
      method: 'PUT',
      auth,
      type: 'application/json',
      body: JSON.stringify({ acl: { xmppgateway: isGranted } }),
    });
  const sendAs = async (user: string): Promise<number> => {
    const { status } = await post(
      `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`,
      { auth: [user, `${user}-secret`], body: JSON.stringify({ to: 'bot@example.org' }) },
    );
    return status;
  };
  const aclOf = (user: string, isGranted: boolean): object => ({
    username: user,
    xmppDomain: 'example.org',
    jid: `${user}@example.org`,
    acl: { xmppgateway: isGranted },
    aclLabels: { xmppgateway: 'Send messages using the HTTP API' },
  });

  test('are granted and revoked at once', async () => {
    expect(await sendAs('alice')).toBe(403);
    const granted = await put('ALICE', true);
    expect([granted.status, granted.json()]).toEqual([200, aclOf('alice', true)]);
    expect(await sendAs('alice')).toBe(200);
    const revoked = await put('alice', false);
    expect([revoked.status, revoked.json()]).toEqual([200, aclOf('alice', false)]);
    expect(await sendAs('alice')).toBe(403);
    const read = await request(aclUrl('alice'), { auth: admin });
    expect([read.status, read.json()]).toEqual([200, aclOf('alice', false)]);
  });

  test('of the configuration are shown, and not revoked', async () => {
    expect((await request(aclUrl('bot'), { auth: admin })).json()).toEqual(aclOf('bot', true));
    const answer = await put('bot', false);
    expect([answer.status, answer.json()['code']]).toEqual([409, 'granted-in-configuration']);
    expect(answer.json()['detail']).toContain('permissions.xmppgateway');
    expect(await sendAs('bot')).toBe(200);
  });

  test.each([
    [
      'an account without manage',
      () => put('alice', true, [apiAccount.username, apiAccount.password]),
      403,
      'management-not-allowed',
    ],
    ['a wrong password', () => put('alice', true, ['admin', 'wrong']), 401, 'unauthenticated'],
    ['everybody as a user name', () => put('*', true), 404, 'not-found'],
    ['a value that is none', () => put('alice', 'yes'), 422, 'invalid-message'],
    [
      'another method',
      () => request(aclUrl('alice'), { method: 'POST', auth: admin }),
      405,
      'method-not-allowed',
    ],
    [
      'XML',
      () =>
        request(aclUrl('alice'), {
          method: 'PUT',
          auth: admin,
          type: 'application/xml',
          body: '<x/>',
        }),
      415,
      'unsupported-media-type',
    ],
  ] as const)('are not changed by %s', async (_, attempt, status, code) => {
    const answer = await attempt();
    expect([answer.status, answer.json()['code']]).toEqual([status, code]);
    expect(await sendAs('alice')).toBe(403);
  });

  test.each([
    ['{}', 'got no fields.'],
    ['{"xmppgateway": true, "admin": true}', 'got the fields "xmppgateway", "admin".'],
    [
      '{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1}',
      'got the fields "a", "b", "c", "d", "e" and 2 more.',
    ],
  ])('are not changed by %s', async (acl, got) => {
    const answer = await request(aclUrl('alice'), {
      method: 'PUT',
      auth: admin,
      type: 'application/json',
      body: `{"acl": ${acl}}`,
    });
    expect([answer.status, answer.json()['detail']]).toEqual([
      422,
      `/acl: Expected an object with the field "xmppgateway" only, ${got}`,
    ]);
  });

  test('are not changed with a parameter that is not there', async () => {
    const answer = await request(`${aclUrl('alice')}?dry_run=true`, {
      method: 'PUT',
      auth: admin,
      type: 'application/json',
      body: JSON.stringify({ acl: { xmppgateway: true } }),
    });
    expect(answer.status).toBe(422);
    expect(await sendAs('alice')).toBe(403);
  });

  test.each([
    ['', 200],
    ['?format=json', 200],
    ['?x=1', 422],
    ['?format=json&format=json', 422],
  ])('are read with the parameters %j: %s', async (query, status) => {
    expect((await request(`${aclUrl('alice')}${query}`, { auth: admin })).status).toBe(status);
  });

  test('are not shown to a stranger who asks with a wrong parameter', async () => {
    expect((await request(`${aclUrl('alice')}?x=1`)).status).toBe(401);
  });

  test('granted by a command are noticed without a signal', async () => {
    const command = (...args: string[]) => runCommand([...args, '--config', gateway.configFile]);
    expect(await command('grant', 'Alice@example.org')).toMatchObject({
      code: 0,
      stdout: 'alice@example.org has the permission\n',
    });
    await waitUntil(async () => (await sendAs('alice')) === 200, { label: 'the permission' });
    expect((await command('permissions')).stdout).toBe(
      'bot@example.org\tconfiguration\nalice@example.org\tstate file\n',
    );
    expect((await command('revoke', 'alice@example.org')).code).toBe(0);
    await waitUntil(async () => (await sendAs('alice')) === 403, { label: 'the revocation' });
    const refused = await command('revoke', 'bot@example.org');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('revoke it there')]);
    expect((await command('grant', 'alice@elsewhere.example')).code).toBe(64);
    expect((await command('grant')).code).toBe(64);
  });

  test('that change have a line that says who changed them, which the documented queries find', async () => {
    const folder = createDirectory('who-did-what');
    onTestFinished(() => removeDirectory(folder));
    const [journal, env] = [join(folder, 'journal'), { PATH: `${folder}:${process.env['PATH']}` }];
    // Instead of the machine's journal, which has no place in a test.
    writeProgram(
      folder,
      'logger',
      `#!/bin/sh\nfor line; do :; done\necho "$line" >> '${journal}'\n`,
    );
    writeProgram(folder, 'journalctl', `#!/bin/sh\necho not JSON\ncat '${journal}'\n`);
    const before = gateway.logLines().length;
    const command = (...args: string[]) =>
      runCommand([...args, '--config', gateway.configFile], { env: { ...env, SUDO_USER: 'anna' } });
    await put('dora', true);
    await put('bot', false);
    expect(await command('grant', 'carol@example.org')).toMatchObject({ code: 0, stderr: '' });
    expect((await command('revoke', 'nobody@example.org')).code).toBe(0);
    expect(await sendAs('bot')).toBe(200);
    const lines = await waitUntil(
      () => {
        const found = gateway
          .logLines()
          .slice(before)
          .filter(({ msg }) => msg === 'request');
        return found.length === 3 ? found : undefined;
      },
      { label: 'the lines of three requests' },
    );
    const commands = readFileSync(journal, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const common = {
      level: 30,
      time: expect.any(Number),
      osUser: userInfo().username,
      sudoUser: 'anna',
      msg: 'permission',
    };
    expect(commands).toEqual([
      { ...common, action: 'grant', target: 'carol@example.org', changed: true },
      { ...common, action: 'revoke', target: 'nobody@example.org', changed: false },
    ]);
    appendFileSync(journal, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const found = await Promise.all(
      readBlocks('log.md', 'sh').map((query) =>
        runToSuccess({ file: 'sh', args: ['-c', query], env: { ...process.env, ...env } }),
      ),
    );
    const cells = found.map((text) =>
      text
        .trim()
        .split('\n')
        .map((line) => line.split('\t').filter((cell) => !/^\d{4}-/.test(cell))),
    );
    expect(cells).toEqual([
      [
        [userInfo().username, 'grant', 'carol@example.org', 'ok'],
        [userInfo().username, 'revoke', 'nobody@example.org', 'ok'],
        ['admin', 'grant', 'dora@example.org', 'ok'],
        ['admin', 'revoke', 'bot@example.org', 'granted-in-configuration'],
      ],
      [['1', '-', 'bot@example.org', 'example.org', 'ok']],
    ]);
  });

  test('that were answered survive kill -9 at any moment', async () => {
    const wanted = new Set<string>();
    for (let round = 0; round < 4; round += 1) {
      const users = Array.from({ length: 50 }, (_, index) => `u${round}-${index}`);
      const puts = users.map(async (user) => {
        const answer = await put(user, true).catch(() => undefined);
        if (answer?.status === 200) wanted.add(`${user}@example.org`);
        if (wanted.size >= 10 * (round + 1)) gateway.signal('SIGKILL');
      });
      await Promise.all(puts);
      await gateway.exited;
      const { xmppgateway } = JSON.parse(readFileSync(stateFile, 'utf8'));
      expect(xmppgateway).toEqual(expect.arrayContaining([...wanted]));
      await gateway.stop();
      gateway = await startGatewayProcess({ config });
    }
    expect((await put('last', true)).status).toBe(200);
  });
});

test('a grant that the disk has no room for is refused by name and leaves no file', async () => {
  const folder = createDirectory('full-disk');
  const configFile = join(folder, 'gateway.yaml');
  writeFileSync(
    configFile,
    stringify({
      component: { domain: 'gateway.example.org', secret: 'secret' },
      domains: ['example.org'],
      permissions: { state_file: 'grants.json' },
    }),
  );
  // A file can be made, but not a byte be written to it: as on a full disk.
  const { code, stderr } = await runCommand(['grant', 'bot@example.org', '--config', configFile], {
    maxFileBytes: 0,
  });
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining(`permissions.state_file ${join(folder, 'grants.json')}: EFBIG`),
  ]);
  expect(readdirSync(folder)).toEqual(['gateway.yaml']);
  removeDirectory(folder);
});
