import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { installDebianPackages } from './install-missing.mjs';

const serverPackages = ['prosody', 'prosody-modules', 'ejabberd', 'erlang-p1-sqlite3'];

function capture(file, args, cwd) {
  const { status, signal, stdout, error } = spawnSync(file, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${status ?? signal}`);
  return stdout;
}

/** The Debian mirror that this machine's apt uses. */
function findMirror() {
  const format = ['--format', '$(CODENAME) $(REPO_URI)'];
  const only = ['Created-By: Packages', 'Origin: Debian'];
  const targets = capture('apt-get', ['indextargets', ...format, ...only]);
  // Not the line of bookworm-security, which has another mirror.
  const mirror = /^[a-z]+ (\S+)$/m.exec(targets)?.[1];
  if (mirror === undefined) {
    throw new Error('expected a Debian mirror in the configuration of apt, found none');
  }
  return mirror;
}

/** Settings that make apt use one directory for everything except dpkg's status. */
function privateApt(directory, suites) {
  for (const name of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  const sources = join(directory, 'debian.sources');
  writeFileSync(
    sources,
    `Types: deb\nURIs: ${findMirror()}\nSuites: ${suites.join(' ')}\nComponents: main\n`,
  );
  return [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(directory, 'lists')}`,
    `Dir::Cache=${join(directory, 'cache')}`,
    // The user _apt may not write to this directory.
    'APT::Sandbox::User=',
  ].flatMap((setting) => ['-o', setting]);
}

/** Downloads the packages that the servers of a suite need besides the installed ones; apt verifies them. */
function downloadPackages(directory, suite) {
  const settings = privateApt(join(directory, 'apt'), ['bookworm', suite]);
  capture('apt-get', [...settings, 'update']);
  const plan = capture('apt-get', [...settings, '-s', 'install', '-t', suite, ...serverPackages]);
  const packages = Array.from(
    plan.matchAll(/^Inst (\S+) .*?\((\S+) /gm),
    ([, name, version]) => `${name}=${version}`,
  );
  for (const name of ['prosody', 'ejabberd']) {
    if (!packages.some((found) => found.startsWith(`${name}=`))) {
      throw new Error(`expected a newer ${name} in ${suite} than the installed one, found none`);
    }
  }
  const debs = join(directory, 'debs');
  mkdirSync(debs);
  capture('apt-get', [...settings, 'download', ...packages], debs);
  return readdirSync(debs).map((name) => join(debs, name));
}

/** The library directory of an unpacked ejabberd: /usr/lib/TRIPLET. */
function findLibraries(root) {
  const found = readdirSync(join(root, 'usr/lib'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join('/usr/lib', name))
    .find((path) => readdirSync(join(root, path)).some((name) => /^ejabberd-\d/.test(name)));
  if (found === undefined)
    throw new Error(`expected ejabberd-VERSION in ${root}/usr/lib/*, found none`);
  return found;
}

function writeProgram(directory, name, text) {
  writeFileSync(join(directory, 'bin', name), text, { mode: 0o755 });
}

/** Debian 12's backports, which run with Debian 12's Lua and Erlang, and without root. */
function unpackBackports(directory, suite) {
  installDebianPackages(['prosody', 'prosody-modules', 'ejabberd']);
  const root = join(directory, 'root');
  for (const deb of downloadPackages(directory, suite)) capture('dpkg-deb', ['-x', deb, root]);
  for (const name of ['apt', 'debs']) rmSync(join(directory, name), { recursive: true });
  for (const name of ['prosody', 'prosodyctl']) {
    const script = readFileSync(join(root, 'usr/bin', name), 'utf8');
    const unpacked = `arg[0]:match("^(.*)/bin/").."/root"..'/usr/lib/prosody`;
    writeProgram(directory, name, script.replaceAll("'/usr/lib/prosody", unpacked));
  }
  const libraries = ['/usr/lib/erlang/lib', findLibraries(root)];
  const paths = libraries.map((path) => `$root${path}`).join(':');
  for (const name of ['erl', 'erlc']) {
    const environment = `ERL_LIBS="\${ERL_LIBS:-${paths}}"`;
    const script = `#!/bin/sh\nroot=\${0%/bin/*}/root\n${environment} exec /usr/bin/${name} "$@"\n`;
    writeProgram(directory, name, script);
  }
  return { libraries, changesRoot: false };
}

// The programs of the unpacked system must see the files of the tests, so the machine's other folders
// are mounted into it. The mounts end with the program, because they are in its own namespace.
const changedRoot = `#!/bin/sh
root=\${0%/bin/*}/root
exec unshare --mount sh -c '
  root=$1 directory=$2 program=$3
  shift 3
  for path in /*; do
    case $path in
      /bin | /boot | /etc | /lib* | /sbin | /usr | /var) continue ;;
    esac
    [ -d "$path" ] && [ ! -h "$path" ] || continue
    mkdir -p "$root$path"
    mount --rbind "$path" "$root$path" || exit
  done
  exec chroot "$root" /usr/bin/env -C "$directory" PATH=/usr/sbin:/usr/bin:/sbin:/bin "$program" "$@"
' sh "$root" "$PWD" "\${0##*/}" "$@"
`;

/** Another release of Debian, with its own Lua and Erlang. Needs root, for chroot. */
function unpackSystem(directory, suite) {
  if (process.getuid() !== 0) {
    throw new Error(`The servers of ${suite} need chroot: run this as root.`);
  }
  installDebianPackages(['mmdebstrap']);
  const root = join(directory, 'root');
  const needed = ['coreutils', 'dash', 'base-files', 'libc-bin'];
  capture('mmdebstrap', [
    '--quiet',
    '--variant=extract',
    '--mode=root',
    `--include=${[...serverPackages, ...needed].join()}`,
    '--aptopt=APT::Install-Recommends "false"',
    // The mirror may be some days old.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    suite,
    root,
    findMirror(),
  ]);
  const lua = /^#!.*\b(lua[\d.]*)$/m.exec(readFileSync(join(root, 'usr/bin/prosody'), 'utf8'))?.[1];
  for (const name of ['prosody', 'prosodyctl', lua, 'erl', 'erlc', 'epmd']) {
    writeProgram(directory, name, changedRoot);
  }
  return { libraries: [findLibraries(root)], changesRoot: true };
}

const unpackers = {
  'bookworm-backports': unpackBackports,
  trixie: unpackSystem,
  forky: unpackSystem,
};

/** The Debian suites that obtainServers knows. */
export const suites = Object.keys(unpackers);

function cacheDirectory() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'xmpp-message-gateway', 'servers');
}

/**
 * Unpacks the servers of a suite, or finds those that it has unpacked before. The installed ones stay.
 * @returns a directory. Its `bin`, which must come first in PATH, has the programs; its `servers.json`
 * is for test/support/servers/versions.ts.
 */
export function obtainServers(suite, parent = cacheDirectory()) {
  const directory = join(parent, suite);
  if (existsSync(directory)) {
    console.log(`The servers of ${suite} are those in ${directory}; remove it for newer ones.`);
    return directory;
  }
  console.log(`Unpacking the servers of ${suite} into ${directory}.`);
  mkdirSync(parent, { recursive: true });
  // It gets its final name once it is complete.
  const unfinished = mkdtempSync(join(parent, `${suite}.unfinished-`));
  try {
    mkdirSync(join(unfinished, 'bin'));
    const found = unpackers[suite](unfinished, suite);
    writeFileSync(join(unfinished, 'servers.json'), `${JSON.stringify({ suite, ...found })}\n`);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, directory);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return directory;
}
