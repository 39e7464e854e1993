import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { runCommand } from '../support/gateway/gateway.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory, runChild } from '../support/system/processes.ts';

describe('what cannot be run ends with a code and a sentence', () => {
  let directory: string;
  beforeAll(() => {
    directory = createDirectory('lifecycle');
  });
  afterAll(() => removeDirectory(directory));

  const write = (name: string, text: string): string => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };

  test.each([
    [[], '--config FILE is missing'],
    [['frobnicate'], 'unknown command "frobnicate"'],
    [['serve', '--konfig', 'a.yaml'], "Unknown option '--konfig'"],
    [['hash-password', 'secret'], 'unexpected argument "secret"'],
    [['hash-password', '--config=a.yaml'], "Unknown option '--config'"],
    [['check', '--config=a.yaml', 'b.yaml'], 'unexpected argument "b.yaml"'],
    [['--config=a.yaml', 'check'], 'unexpected argument "check"'],
    [['constructor'], 'unknown command "constructor"'],
    [
      ['serve', '--config=a.yaml', '--log-format=xml'],
      'expected --log-format json or pretty, got "xml"',
    ],
    [['grant', '--config=a.yaml'], 'expected a JID or *@domain'],
    [['send', 'hi'], '--to JID is missing'],
    [['send', '--to=a@b', '--id=1', '--id=2', 'hi'], 'expected --id once, got it twice'],
    [['serve', '-c', 'a.yaml', '-c', 'b.yaml'], 'expected --config once, got it twice'],
    [['grant', '-c', 'a.yaml', '-c', 'a.yaml', 'b@c'], 'expected --config once, got it twice'],
    [['check', '-c', 'a.yaml', '--config=b.yaml'], 'expected --config once, got it twice'],
    [
      ['init', '--domain=a.example', '--domain=b.example', '--bot=a', '--bot=b'],
      'expected --bot once, got it twice',
    ],
  ])('64, wrong usage: %j', async (args, sentence) => {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toMatch(/^xmpp-message-gateway: .*\n\nUsage:\n(.*\n)+$/);
    expect(stderr.split('\n')[0]).toBe(`xmpp-message-gateway: ${sentence}`);
  });

  test.each([
    [['--help'], /^Usage:\n {2}xmpp-message-gateway init /],
    [['--version'], /^\d+\.\d+\.\d+\n$/],
    ...['serve', 'send', 'revoke'].map((name): [string[], RegExp] => [
      [name, '--help'],
      new RegExp(`^Usage:\\n  xmpp-message-gateway \\[?${name}\\b.*\\n\\n(.*\\n){2,40}$`),
    ]),
  ])('0, help: %j', async (args, said) => {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(said);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(95);
  });

  test.each([
    ['--help', 0],
    ['check --help', 0],
    ['hash-password', 0],
    ['check --json --config absent.yaml', 78],
  ])('the same when nobody reads the output: %s', async (args, code) => {
    const script = `{ "$0" "$@"; echo "$?" >&2; } | :`;
    const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
    const command = ['-c', script, process.execPath, main, ...args.split(' ')];
    const { stderr } = await runChild({ file: 'sh', args: command }, 'password\n');
    expect(stderr).toBe(`${code}\n`);
  });

  test.each(['serve', 'check'])(
    '78, faulty configuration, all faults at once: %s',
    async (name) => {
      const file = write(
        'faulty.yaml',
        `component: { domain: gateway.example.org, secret_file: missing.secret, prot: 5347 }
domains: []
http: { port: 99999 }
api_accounts: [{ username: alerts, password_hash: plain-text-password, domains: [example.org] }]
`,
      );
      const { code, stdout, stderr } = await runCommand([name, '--config', file]);
      expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
      expect(stderr.replaceAll(file, 'F').split('\n').toSorted()).toEqual([
        '',
        'F:1: component.prot: expected a known key (did you mean port?), got an unknown one',
        'F:1: component.secret_file: expected a file that can be read, got "missing.secret" (ENOENT: no such file or directory)',
        'F:2: domains: expected at least one domain, got an empty list',
        'F:3: http.port: expected an integer from 1 to 65535, got 99999',
        'F:4: api_accounts[0].password_hash: expected a hash made by the hash-password command, such as $scrypt$ln=14,r=8,p=1$…$…, got <secret>',
      ]);
    },
  );

  test('78, faulty configuration, for machines', async () => {
    const file = write('faulty.yaml', 'domains: []\n');
    const { code, stdout } = await runCommand(['check', '--json', '--config', file]);
    expect(code).toBe(78);
    const { ok, findings }: { ok: boolean; findings: unknown[] } = JSON.parse(stdout);
    expect([ok, findings.length]).toEqual([false, 2]);
    expect(findings).toContainEqual({
      ok: false,
      text: `${file}:1: domains: expected at least one domain, got an empty list`,
    });
  });

  test.each([
    ['absent.yaml', 'ENOENT: no such file or directory'],
    ['.', 'EISDIR: illegal operation on a directory'],
  ])('78, no configuration: %s', async (name, reason) => {
    const file = join(directory, name);
    const { code, stdout, stderr } = await runCommand(['--config', file]);
    expect({ code, stdout, stderr }).toEqual({
      code: 78,
      stdout: '',
      stderr: `${file}: expected a configuration file that can be read, got ${reason}\n`,
    });
  });

  test.each([
    ['HTTP', 'http', (port: number) => ({ port })],
    [
      'HTTP',
      'http',
      (port: number, metricsPort: number) => ({ port, metrics: { port: metricsPort } }),
    ],
    ['metrics', 'http.metrics', (port: number) => ({ metrics: { port } })],
  ])('1, a port for %s that somebody else has', async (what, key, listenAt) => {
    const holder = createServer((socket) => socket.end('220 ready\r\n')).listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const file = write(
      'taken.yaml',
      stringify({
        component: { domain: 'gateway.example.org', secret: 'secret' },
        domains: ['example.org'],
        http: { port: await freePort(), ...listenAt(port, await freePort()) },
      }),
    );
    const { code, stderr } = await runCommand(['serve', '--config', file]);
    holder.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      `xmpp-message-gateway: ${what} at 127.0.0.1:${port}: another program listens there (it does not answer HTTP)
Stop it, or change ${key}.port. To see which program it is: sudo ss -ltnp 'sport = :${port}'
`,
    );
  });
});
