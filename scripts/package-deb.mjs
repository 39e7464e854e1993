// Builds the Debian package from dist/ into build/deb/, and lets lintian look at it.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildBashCompletion,
  buildManualSource,
  buildZshCompletion,
  readCommands,
} from './command-help.mjs';
import { installDebianPackages, projectDirectory, run, runMain } from './install-missing.mjs';

const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = 'build/deb';
const source = join(folder, 'source');

/** Returns what a command prints; throws it unless the command exits with 0. */
function runIn(cwd, file, ...args) {
  const { status, signal, error, stdout } = spawnSync(file, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${stdout}${file} ended with ${status ?? signal}`);
  return stdout;
}

function write(file, text) {
  mkdirSync(join(source, file, '..'), { recursive: true });
  writeFileSync(join(source, file), text);
}

function copySources() {
  // Packages that have been built before stay: they are the way back.
  rmSync(source, { recursive: true, force: true });
  for (const file of ['dist', 'docs', 'deploy', 'ejabberd', 'prosody', 'package.json']) {
    cpSync(file, join(source, file), { recursive: true });
  }
  for (const file of ['README.md', 'SECURITY.md', 'CHANGELOG.md']) cpSync(file, join(source, file));
  cpSync(join(source, 'deploy/debian'), join(source, 'debian'), { recursive: true });
  cpSync('deploy/xmpp-message-gateway.service', join(source, `debian/${name}.service`));
  cpSync('deploy/sysusers.conf', join(source, `debian/${name}.sysusers`));
  // Pages and files that only serve to build packages and images, or that are installed elsewhere, are
  // not documentation.
  for (const file of ['debian', 'sysusers.conf', `${name}.service`]) {
    rmSync(join(source, 'deploy', file), { recursive: true });
  }
}

/** The package depends on Debian's nodejs; another Node.js may come first in somebody's PATH. */
function prepareProgram() {
  const main = join(source, 'dist/main.js');
  const text = readFileSync(main, 'utf8').replace(/^#!.*\n/, '');
  writeFileSync(main, `#!/usr/bin/node\n${text}`);
}

/** Returns what git prints; undefined where the sources are not a clone. Throws where git fails on one. */
function readGit(...args) {
  if (!existsSync('.git')) return undefined;
  // Anybody who builds the package runs this code anyway, even in somebody else's clone.
  const trusting = ['-c', 'safe.directory=*', ...args];
  const env = { ...process.env, TZ: 'UTC' };
  return execFileSync('git', trusting, { env, encoding: 'utf8' }).trim();
}

/**
 * Debian sorts 1.0.0~rc.1 before 1.0.0. Between releases the newest commit is a part of the version,
 * because apt installs no package whose version it has already; its time makes a newer one sort higher.
 */
function debianVersion() {
  const tags = readGit('tag', '--points-at', 'HEAD');
  const isRelease = tags === undefined || tags.split('\n').includes(`v${version}`);
  const commit = ['--date=format-local:%Y%m%d%H%M%S', '--abbrev=7', '--format=+git%cd.%h'];
  const snapshot = isRelease ? '' : readGit('log', '-1', ...commit);
  return `${version.replace('-', '~')}${snapshot}-1`;
}

/** Dated like the newest commit, so that the same sources give the same package. */
function writeChangelog() {
  const date =
    readGit('log', '-1', '--format=%cD') ?? new Date().toUTCString().replace('GMT', '+0000');
  const [, maintainer] = /^Maintainer: (.*)$/m.exec(readFileSync('deploy/debian/control', 'utf8'));
  write(
    'debian/changelog',
    `${name} (${debianVersion()}) unstable; urgency=medium

  * See /usr/share/doc/${name}/changelog.gz.

 -- ${maintainer}  ${date}
`,
  );
}

function writeCommandHelp() {
  const commands = readCommands();
  write('bash/xmpp-message-gateway', buildBashCompletion(commands));
  write('zsh/_xmpp-message-gateway', buildZshCompletion(commands));
  write('manual.md', buildManualSource(commands));
  const title = ['-m', `title=${name.toUpperCase()}`, '-m', 'section=1'];
  write(`${name}.1`, runIn(source, 'lowdown', '-s', '-Tman', ...title, 'manual.md'));
}

runMain(() => {
  process.chdir(projectDirectory);
  installDebianPackages(['debhelper', 'git', 'lintian', 'lowdown']);
  if (!process.argv.includes('--built')) run('npm', 'run', '--silent', 'build');
  copySources();
  prepareProgram();
  writeChangelog();
  writeCommandHelp();
  // The build needs only what has been installed above; the check would also ask for a compiler
  // (build-essential).
  const unchecked = ['--no-check-builddeps', '--no-sign', '--unsigned-changes'];
  runIn(source, 'dpkg-buildpackage', '--build=binary', ...unchecked);
  const file = `${name}_${debianVersion()}_all.deb`;
  // That tag is for packages that are uploaded to Debian.
  const options = ['--fail-on', 'error', '--suppress-tags', 'initial-upload-closes-no-bugs'];
  process.stdout.write(runIn(folder, 'lintian', ...options, file));
  console.log(`Built ${join(folder, file)}`);
});
