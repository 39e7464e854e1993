// Prints the files and functions of src that one message crosses, in a gateway that is warm.
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { post } from '../support/clients/http.ts';
import { answerHonestly, startComponentServer } from '../support/doubles/component-server.ts';
import { apiAccount, hashApiPassword, startGatewayProcess } from '../support/gateway/gateway.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const usage = `usage: npm run request-path -- [--build DIR]
  --build DIR   of another checkout: its build/src, made by npm run build`;

const warmUp = 200;

const { values } = parseArgs({
  options: { build: { type: 'string' }, help: { type: 'boolean', default: false } },
});
if (values.help) {
  console.log(usage);
  process.exit();
}
const source = values.build ?? fileURLToPath(new URL('../src', import.meta.url));
// The gateway looks for these beside its own code, which in dist is one file. Old builds lack them.
for (const name of ['openapi.json', 'templates']) {
  const original = join(source, '../../dist', name);
  if (existsSync(original)) cpSync(original, join(source, 'gateway', name), { recursive: true });
}
const directory = createDirectory('request-path');
const file = join(directory, 'called.json');
const server = await startComponentServer(answerHonestly);
const gateway = await startGatewayProcess({
  mainFile: join(source, 'main.js'),
  nodeArgs: ['--import', new URL('coverage.js', import.meta.url).href],
  env: { PATH_FILE: file },
  config: {
    component: { domain: 'gateway.example.org', port: server.port, secret: 'secret' },
    domains: ['example.org'],
    // Not part of what the compiler alone builds.
    http: { docs: false },
    api_accounts: [
      {
        username: apiAccount.username,
        password_hash: hashApiPassword(apiAccount.password, 10),
        domains: ['example.org'],
      },
    ],
  },
});
try {
  for (let sent = 0; sent < warmUp; sent += 1) await sendMessage();
  gateway.signal('SIGUSR2');
  await waitUntil(() => existsSync(`${file}.started`), { label: 'the counting' });
  await sendMessage();
  gateway.signal('SIGUSR2');
  await waitUntil(() => existsSync(file), { label: 'the counts' });
  print(JSON.parse(readFileSync(file, 'utf8')));
} finally {
  await gateway.stop();
  await server.stop();
  removeDirectory(directory);
}

async function sendMessage(): Promise<void> {
  const answer = await post(
    `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`,
    {
      auth: [apiAccount.username, apiAccount.password],
      type: 'application/json',
      body: JSON.stringify({ to: 'bob@example.org', body: 'Hello' }),
    },
  );
  if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status}`);
}

function print(called: Readonly<Record<string, readonly string[]>>): void {
  let files = 0;
  let functions = 0;
  for (const [url, names] of Object.entries(called)) {
    const [, path] = /\/build\/src\/(.*)\.js$/.exec(url) ?? [];
    if (path === undefined) continue;
    files += 1;
    functions += names.length;
    console.log(`${path}: ${names.join(', ')}`);
  }
  console.log(`\n${files} files, ${functions} functions`);
}
