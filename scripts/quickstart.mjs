// Starts a private Prosody (or, with --server ejabberd, an ejabberd) and the gateway from a fresh clone,
// and sends messages through both URLs. Stays up until Ctrl-C, unless it is called with --once.
import { parseArgs } from 'node:util';
import { installDebianPackages, installNpmPackages, run } from './install-missing.mjs';

const signals = ['SIGINT', 'SIGTERM'];
const parent = process.ppid;
const serverNames = { prosody: 'Prosody', ejabberd: 'ejabberd' };

function heading(text) {
  console.log(`\n== ${text}`);
}

const usage = 'Usage: npm run quickstart [-- [--once] [--server prosody|ejabberd]]';

function readArguments() {
  try {
    const { once, server, help } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        server: { type: 'string', default: 'prosody' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
    if (!Object.hasOwn(serverNames, server)) {
      throw new Error(`--server: expected prosody or ejabberd, got ${server}`);
    }
    return { once, server, help };
  } catch (error) {
    throw new Error(`${error.message}. ${usage}`, { cause: error });
  }
}

function checkPlatform() {
  if (process.platform !== 'linux') {
    throw new Error(`expected Linux (Debian or Ubuntu), this is ${process.platform}`);
  }
}

function prepare(server) {
  heading('Preparing');
  console.log(
    'Needed: the npm packages of package-lock.json in node_modules, and the Debian packages',
  );
  console.log(`${server} and openssl. Those that are missing are installed now.`);
  installNpmPackages();
  installDebianPackages([server, 'openssl']);
  run('npm', 'run', '--silent', 'build');
  run('node_modules/.bin/tsc', '-p', 'tsconfig.tools.json');
}

/** Resolves at the first SIGINT or SIGTERM, or once npm has ended; a second signal ends the process. */
function askedToStop() {
  return new Promise((resolve) => {
    for (const signal of signals) {
      // The listeners of the support modules would end the process with exit code 130.
      process.removeAllListeners(signal);
      process.once(signal, () => {
        for (const again of signals) process.once(again, () => process.exit(130));
        resolve();
      });
    }
    // npm does not pass SIGTERM on, so notice that it has ended.
    setInterval(() => process.ppid === parent || resolve(), 500).unref();
  });
}

async function stayUp(site) {
  const { printCurlLines, showArrivals } = await import('./quickstart-post.mjs');
  const stopped = askedToStop();
  heading('Your turn: paste these into another terminal. Ctrl-C here stops everything.');
  printCurlLines(site);
  heading(`What arrives at ${site.bob.jid}`);
  await Promise.race([stopped, site.failed, showArrivals(site)]);
  heading('Stopping');
}

async function main() {
  const { once, server, help } = readArguments();
  if (help) {
    console.log(usage);
    return;
  }
  checkPlatform();
  prepare(server);
  const { startSite } = await import('./quickstart-site.mjs');
  const { postAll } = await import('./quickstart-post.mjs');
  heading(`Starting a private ${serverNames[server]} and the gateway, on 127.0.0.1 only`);
  const site = await startSite(server, serverNames[server]);
  try {
    await postAll(site, heading);
    const seconds = (performance.now() / 1000).toFixed(1);
    heading(`All messages arrived. Total time ${seconds} s.`);
    if (!once) await stayUp(site);
  } finally {
    await site.stop();
  }
  console.log('All processes are stopped, and the temporary files are removed.');
}

try {
  await main();
} catch (error) {
  console.error(
    `\nThe quick start failed: ${error instanceof Error ? error.message : String(error)}`,
  );
  process.exitCode = 1;
}
