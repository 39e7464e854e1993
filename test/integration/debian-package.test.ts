import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  createDirectory,
  removeDirectory,
  runChild,
  runToSuccess,
} from '../support/system/processes.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const name = 'xmpp-message-gateway';

/** What the package puts on a machine; its maintainer scripts are in `control`. */
let root: string;
let control: string;
let fields: string;

/** Stands for a package that has been built before. */
const older = join(project, `build/deb/${name}_0.0.1-1_all.deb`);

/** Fails if lintian finds an error. */
beforeAll(async () => {
  mkdirSync(dirname(older), { recursive: true });
  writeFileSync(older, '');
  const build = { file: 'node', args: ['scripts/package-deb.mjs', '--built'], cwd: project };
  const [, file = ''] = /^Built (.*)$/m.exec(await runToSuccess(build)) ?? [];
  root = createDirectory('deb-root');
  control = createDirectory('deb-control');
  const dpkgDeb = (...args: string[]): Promise<string> =>
    runToSuccess({ file: 'dpkg-deb', args, cwd: project });
  fields = await dpkgDeb('--field', file);
  await dpkgDeb('--extract', file, root);
  await dpkgDeb('--control', file, control);
  // debhelper and lintian are many short Perl programs, which a busy machine runs slowly.
}, 600_000);
afterAll(() => {
  removeDirectory(root);
  removeDirectory(control);
  rmSync(older);
});

const at = (path: string): string => join(root, path);
const read = (path: string): string => readFileSync(at(path), 'utf8');

test('it has the version of the project, and needs only Node.js and the user of its service', async () => {
  const { version, engines }: { version: string; engines: { node: string } } = JSON.parse(
    readFileSync(join(project, 'package.json'), 'utf8'),
  );
  const args = ['-c', 'safe.directory=*', 'tag', '--points-at', 'HEAD'];
  const tags = await runChild({ file: 'git', args, cwd: project });
  const isSnapshot = tags.code === 0 && !tags.stdout.split('\n').includes(`v${version}`);
  // What is built between two releases is newer than the first, and older than the second.
  const [, built = ''] = /^Version: (.*)-1\nArchitecture: all$/m.exec(fields) ?? [];
  const commit = isSnapshot ? expect.stringMatching(/^\+git\d{14}\.[\da-f]{7,}$/) : '';
  expect([built.slice(0, version.length), built.slice(version.length)]).toEqual([version, commit]);
  const node = engines.node.replace('>=', '>= ');
  expect(fields).toContain(
    `\nDepends: nodejs (${node}), systemd | systemd-standalone-sysusers | systemd-sysusers\n`,
  );
});

test('one that has been built before stays for the way back', () => {
  expect(existsSync(older)).toBe(true);
});

test('it has the whole bundle, and its command runs with the Node.js of the system', async () => {
  const dist = `usr/share/${name}/dist`;
  const built = readdirSync(join(project, 'dist'), { recursive: true, encoding: 'utf8' });
  expect(readdirSync(at(dist), { recursive: true, encoding: 'utf8' }).toSorted()).toEqual(
    built.toSorted(),
  );
  expect(read(`${dist}/main.js`)).toMatch(/^#!\/usr\/bin\/node\n/);
  const help = await runToSuccess({ file: at(`usr/bin/${name}`), args: ['serve', '--help'] });
  expect(help).toContain('--log-format');
});

test('it has what both servers need', () => {
  expect(read('usr/lib/prosody/modules/mod_message_gateway.lua')).toContain('module:hook');
  const shared = `usr/share/${name}`;
  for (const file of [
    'prosody/example.cfg.lua',
    'ejabberd/gateway.yml',
    'ejabberd/mod_message_gateway/src/mod_message_gateway.erl',
  ]) {
    expect([file, existsSync(at(`${shared}/${file}`))]).toEqual([file, true]);
  }
});

test('the user of its service comes from sysusers.d', async () => {
  mkdirSync(at('etc'));
  await runToSuccess({ file: 'systemd-sysusers', args: [`--root=${root}`] });
  const [unit = ''] = ['usr/lib', 'lib']
    .map((folder) => `${folder}/systemd/system/${name}.service`)
    .filter((file) => existsSync(at(file)));
  const [, user = ''] = /^User=(.*)$/m.exec(read(unit)) ?? [];
  expect(read('etc/passwd')).toMatch(new RegExp(`^${user}:.*:/usr/sbin/nologin$`, 'm'));
});

test('an upgrade restarts a running service and starts no other; removing stops it', () => {
  const invoked = (script: string) =>
    readFileSync(join(control, script), 'utf8').match(/deb-systemd-invoke \S+ \S+/g);
  expect(invoked('postinst')).toEqual([`deb-systemd-invoke try-restart '${name}.service'`]);
  expect(invoked('prerm')).toEqual([`deb-systemd-invoke stop ${name}.service`]);
});

test('an upgrade leaves the configuration alone; purging removes it, but not the files of others', async () => {
  expect(existsSync(at(`etc/${name}`))).toBe(false);
  const script = (file: string): string => readFileSync(join(control, file), 'utf8');
  expect(script('postinst')).toContain(
    `if [ "$1" = configure ] && [ -z "$2" ]; then\n\tinstall -d -m 2750 -g ${name} /etc/${name}\n`,
  );
  const postrm = script('postrm').replaceAll(/\/(?:etc|var\/lib)\//g, (path) => at(path));
  expect(script('prerm')).not.toContain('/etc');

  const own = [
    'gateway.yaml',
    'component.secret',
    'prosody-gateway.cfg.lua',
    'ejabberd-gateway.yml',
  ];
  const runPostrm = (action: string): Promise<string> =>
    runToSuccess({ file: 'sh', args: ['-c', postrm, 'postrm', action] });
  const folder = `etc/${name}`;
  const state = `var/lib/${name}`;
  mkdirSync(at(folder), { recursive: true });
  mkdirSync(at(state), { recursive: true });
  for (const file of [...own, 'chain.pem']) writeFileSync(at(`${folder}/${file}`), '');
  await runPostrm('remove');
  expect(readdirSync(at(folder))).toHaveLength(own.length + 1);
  await runPostrm('purge');
  expect(readdirSync(at(folder))).toEqual(['chain.pem']);
  expect(existsSync(at(state))).toBe(false);
  rmSync(at(`${folder}/chain.pem`));
  await runPostrm('purge');
  expect(existsSync(at(folder))).toBe(false);
  await runPostrm('purge');
});

test('the manual page has the commands and all their options', async () => {
  const page = at(`usr/share/man/man1/${name}.1.gz`);
  const text = await runToSuccess({ file: 'zcat', args: [page] });
  for (const part of [
    '.SH\nNAME\n',
    '.SH\nSYNOPSIS\n',
    '.SS\nrevoke\n',
    '--idempotency-key KEY',
    'send.yaml',
  ]) {
    expect(text.replaceAll('\\-', '-')).toContain(part);
  }
});

const complete = async (...words: string[]): Promise<string[]> => {
  const script = `. '${at(`usr/share/bash-completion/completions/${name}`)}'
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _xmpp_message_gateway && printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await runChild({ file: 'bash', args: ['-c', script, 'bash', name, ...words] });
  return stdout.split('\n').filter((line) => line !== '');
};

test.each([
  [['gr'], ['grant']],
  [
    ['revoke', '--'],
    ['--config', '--help'],
  ],
  [
    ['send', '--t'],
    ['--to', '--type', '--timeout'],
  ],
  [['send', '--to', ''], []],
  [['serve', '--config', 'package.js'], ['package.json']],
  [['send', '--bulk', 'package.js'], ['package.json']],
  [['send', '--rejects', 'package.js'], ['package.json']],
])('bash completes %j', async (words, completions) => {
  expect(await complete(...words)).toEqual(completions);
});

test('bash completes the name of a file with blanks', async () => {
  const folder = createDirectory('completion');
  onTestFinished(() => removeDirectory(folder));
  const file = join(folder, 'all of them.csv');
  writeFileSync(file, '');
  expect(await complete('send', '--bulk', join(folder, 'all'))).toEqual([file]);
});

test('zsh has a completion for every command', () => {
  const text = read(`usr/share/zsh/vendor-completions/_${name}`);
  expect(text).toMatch(/^#compdef xmpp-message-gateway\n/);
  expect(text).toContain(`'*--to[recipient\\: `);
  expect(text.match(/^ {2}[a-z-]+\) _arguments/gm)).toHaveLength(8);
});

test('what is documentation is not compressed, and no file is writable for others', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' });
  expect(files).toContain(`usr/share/doc/${name}/docs/operating.md`);
  expect(files.filter((file) => (statSync(at(file)).mode & 0o022) !== 0)).toEqual([]);
});
