// Runs the gateway; builds and restarts it when its sources or its configuration change:
// node scripts/dev.mjs [--config FILE]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { installNpmPackages, projectDirectory, runMain } from './install-missing.mjs';

/** Editors write a file in several steps, and a checkout writes many files: wait for the last. */
const quietMs = 200;

function readConfigPath() {
  const { config } = parseArgs({
    options: { config: { type: 'string', short: 'c', default: 'gateway.yaml' } },
  }).values;
  if (!existsSync(config)) {
    throw new Error(
      `${config} is missing. Make one with: npm run build && node dist/main.js init --config ${config}`,
    );
  }
  return config;
}

/** Resolves with true if the build succeeded. */
async function build() {
  const child = spawn('npm', ['run', '--silent', 'build'], {
    cwd: projectDirectory,
    stdio: 'inherit',
  });
  const [code] = await once(child, 'exit');
  return code === 0;
}

function startGateway(config) {
  const main = join(projectDirectory, 'dist/main.js');
  const args = [main, 'serve', '--config', config, '--log-format', 'pretty'];
  return spawn(process.execPath, args, { stdio: 'inherit' });
}

/** Resolves once the gateway has finished what was in flight and has ended. */
async function stopGateway(gateway) {
  if (gateway.exitCode !== null || gateway.signalCode !== null) return;
  const ended = once(gateway, 'exit');
  gateway.kill('SIGTERM');
  await ended;
}

runMain(() => {
  const config = readConfigPath();
  installNpmPackages();
  let gateway;
  let isBusy = false;
  let isStale = true;
  let isEnding = false;

  const refresh = async () => {
    isStale = true;
    if (isBusy) return;
    isBusy = true;
    while (isStale) {
      isStale = false;
      console.log('== Building');
      // If the build fails, the old gateway goes on.
      if (!(await build()) || isStale) continue;
      if (gateway !== undefined) await stopGateway(gateway);
      if (!isEnding) gateway = startGateway(config);
    }
    isBusy = false;
  };

  const end = async () => {
    isEnding = true;
    if (gateway !== undefined) await stopGateway(gateway);
    process.exit();
  };

  let timer;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void refresh(), quietMs);
  };
  for (const folder of ['src', 'docs-page', 'scripts/openapi']) {
    watch(join(projectDirectory, folder), { recursive: true }, changed);
  }
  // Watch the folder, because editors replace the file instead of changing it.
  watch(dirname(config), (_event, name) => {
    if (name === basename(config)) changed();
  });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => void end());
  }
  void refresh();
});
