import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of package.json. */
export const projectDirectory = fileURLToPath(new URL('..', import.meta.url));

/** Prints a command and runs it in the project's directory; throws unless it exits with 0. */
export function run(file, ...args) {
  console.log(`$ ${[file, ...args].join(' ')}`);
  const { status, signal, error } = spawnSync(file, args, {
    cwd: projectDirectory,
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file} ended with ${status ?? signal}`);
}

function isNpmCurrent() {
  const installed = join(projectDirectory, 'node_modules/.package-lock.json');
  const wanted = join(projectDirectory, 'package-lock.json');
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs;
}

/** Runs `npm ci` when node_modules is missing or older than package-lock.json. */
export function installNpmPackages() {
  if (isNpmCurrent()) return;
  console.log('The npm packages are missing or older than package-lock.json: installing them.');
  run('npm', 'ci', '--no-audit', '--no-fund');
}

function capture(file, ...args) {
  return spawnSync(file, args, { encoding: 'utf8' });
}

function isInstalled(name) {
  // biome-ignore format: a placeholder of dpkg, not a template
  const { stdout } = capture('dpkg-query', '--show', '--showformat=${db:Status-Status}', name);
  return stdout === 'installed';
}

// Debian starts a server when it is installed and enables it at boot. We only want the program, so we
// forbid the start with a policy (101 means do not start), and disable what has been enabled.
const installScript = `
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
enabled() { find /etc/systemd/system -path '*.wants/*' 2> /dev/null; }
before=$(echo /; enabled)
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
if command -v systemctl > /dev/null; then
  for unit in $(enabled | grep -vxF "$before"); do
    systemctl disable --quiet "\${unit##*/}" || true
  done
fi
`;

function privilege(missing) {
  if (process.getuid() === 0) return [];
  if (capture('sudo', '-n', 'true').status === 0) return ['sudo', '-n'];
  throw new Error(
    `These Debian packages are missing: ${missing.join(', ')}. Installing them needs root, and sudo ` +
      'is missing or asks for a password. Run this yourself, then repeat your command:\n' +
      `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`,
  );
}

/** Installs missing Debian packages with apt, without starting services. */
export function installDebianPackages(names) {
  if (capture('dpkg-query', '--version').error !== undefined) {
    console.log(`This is neither Debian nor Ubuntu. Make sure that you have: ${names.join(', ')}.`);
    return;
  }
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const prefix = privilege(missing);
  console.log(
    `These Debian packages are missing and will be installed with apt: ${missing.join(', ')}.\n` +
      'Only the programs are needed: no service is started, now or at boot.',
  );
  console.log(
    `$ ${[...prefix, 'apt-get install -y --no-install-recommends', ...missing].join(' ')}`,
  );
  const [file, ...args] = [...prefix, 'sh', '-c', installScript, 'install-missing', ...missing];
  const { status, signal } = spawnSync(file, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`apt-get ended with ${status ?? signal}`);
}

/** The Debian packages that the tests need. */
export const testPackages = [
  'prosody',
  'prosody-modules',
  'ejabberd',
  'openssl',
  'curl',
  'lua-check',
  'chromium-headless-shell',
  'redis-server',
  // A client library that answers receipts.
  'python3-slixmpp',
  'haproxy',
  // For the files in deploy/.
  'caddy',
  'debhelper',
  'fail2ban',
  'git',
  'lintian',
  'lowdown',
  'nginx',
  'prometheus',
  // For the recipes.
  'apprise',
  'git',
  'jq',
  'prometheus-alertmanager',
  'python3',
  'systemd',
];

/** Calls `main`; prints an error that it throws without its stack, and sets the exit code to 1. */
export function runMain(main) {
  try {
    main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  runMain(() => {
    installNpmPackages();
    installDebianPackages(testPackages);
  });
}
