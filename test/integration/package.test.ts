import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { request } from '../support/clients/http.ts';
import { gatewayConfig } from '../support/gateway/gateway.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { freePort } from '../support/system/ports.ts';
import {
  type Command,
  createDirectory,
  removeDirectory,
  runChild,
  runToSuccess,
  startChild,
} from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const packageName = 'xmpp-message-gateway';

const own: { readonly version: string } = JSON.parse(
  readFileSync(join(project, 'package.json'), 'utf8'),
);

let folder: string;
let files: string[];
const command = (...args: string[]): Command => ({
  file: join(folder, 'bin', packageName),
  args,
  cwd: folder,
});

/** Packs a copy of the project (`npm pack` builds, and other tests use dist/), and installs it. */
beforeAll(async () => {
  folder = createDirectory('package');
  const source = join(folder, 'source');
  const left = ['.git', 'build', 'coverage', 'dist', 'node_modules', 'test'];
  for (const name of readdirSync(project)) {
    if (!left.includes(name)) cpSync(join(project, name), join(source, name), { recursive: true });
  }
  symlinkSync(join(project, 'node_modules'), join(source, 'node_modules'));
  const env = { npm_config_update_notifier: 'false', npm_config_audit: 'false' };
  const packed = await runToSuccess({
    file: 'npm',
    // Our own package has to build, which .npmrc forbids to the packages of others.
    args: ['pack', '--json', '--silent', '--pack-destination', folder],
    cwd: source,
    env,
  });
  const { filename, files: listed } = readPackResult(packed);
  files = listed.map(({ path }) => path).toSorted();
  await runToSuccess({
    file: 'npm',
    args: ['install', '--global', '--prefix', folder, '--offline', join(folder, filename)],
    cwd: folder,
    env,
  });
});
afterAll(() => removeDirectory(folder));

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** It comes after what the build printed; newer versions of npm give an object instead of a list. */
function readPackResult(printed: string): Packed {
  const result: Record<string, Packed> = JSON.parse(printed.slice(printed.search(/^[[{]/m)));
  const [packed] = Object.values(result);
  if (packed === undefined) throw new Error(`expected a package, got ${printed}`);
  return packed;
}

test('only what is wanted is in the package', () => {
  const wanted =
    /^(CHANGELOG\.md|LICENSE|README\.md|SECURITY\.md|openapi\.json|package\.json)$|^(deploy|docs|ejabberd|prosody)\//;
  const built = readdirSync(join(project, 'dist'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(project, join(parentPath, name)));
  expect(files.filter((file) => !wanted.test(file))).toEqual(built.toSorted());
  for (const file of [
    'SECURITY.md',
    'deploy/README.md',
    'docs/api.md',
    'docs/log.md',
    'docs/trust.md',
  ]) {
    expect(files).toContain(file);
  }
  // One compiled for another Erlang keeps ejabberd from starting.
  expect(files.filter((file) => file.endsWith('.beam'))).toEqual([]);
  expect(files).toContain('ejabberd/mod_message_gateway/src/mod_message_gateway.erl');
});

test('nothing is installed beside it: the bundle contains the packages that it needs', () => {
  const modules = join(folder, 'lib/node_modules');
  expect(readdirSync(modules)).toEqual([packageName]);
  expect(existsSync(join(modules, packageName, 'node_modules'))).toBe(false);
});

test('the command runs from it', async () => {
  const version = await runToSuccess(command('--version'));
  expect(version).toBe(`${own.version}\n`);
  const server = await startProsody();
  try {
    const port = await freePort();
    const config = gatewayConfig(server, { http: { port } });
    writeFileSync(join(folder, 'gateway.yaml'), stringify(config));
    const checked = await runChild(command('check', '--config', 'gateway.yaml'));
    expect([checked.code, checked.stdout.includes('connected and trusted')]).toEqual([0, true]);
    const gateway = await startChild(command('serve', '--config', 'gateway.yaml'));
    const isReady = (): Promise<boolean> =>
      request(`http://127.0.0.1:${port}/readyz`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await waitUntil(isReady, { label: '200 from /readyz' });
    expect((await gateway.end()).code).toBe(0);
  } finally {
    await server.stop();
  }
});
