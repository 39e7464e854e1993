import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { findServing, holdsPort } from '../../../../src/cli/check/serving.ts';
import {
  type Child,
  createDirectory,
  removeDirectory,
  runToSuccess,
  startChild,
} from '../../../support/system/processes.ts';
import { waitUntil } from '../../../support/system/wait.ts';

let folder: string;
let config: string;

beforeEach(() => {
  folder = createDirectory('serving');
  config = join(folder, 'gateway.yaml');
  chmodSync(folder, 0o755);
  for (const file of [config, join(folder, 'other.yaml')]) writeFileSync(file, '');
  writeFileSync(join(folder, 'main.js'), "console.log('up'); setInterval(() => {}, 1e6);");
  return () => removeDirectory(folder);
});

/** Runs a program in the folder until the test ends. */
async function run(file: string, ...args: readonly string[]): Promise<Child> {
  const child = await startChild({ file, args, cwd: folder });
  onTestFinished(async () => void (await child.end('SIGKILL')));
  await waitUntil(() => child.output().includes('up'), { label: 'its output' });
  return child;
}

describe('the process that serves a file', () => {
  test.each([
    [['serve', '--config', 'gateway.yaml']],
    [['serve', '--log-format', 'json', '-c', '@CONFIG@']],
    [['--config', '@CONFIG@']],
    [['--config=gateway.yaml']],
  ])('is found by its arguments %j', async (args) => {
    const own = args.map((arg) => arg.replace('@CONFIG@', config));
    const { pid } = await run(process.execPath, 'main.js', ...own);
    expect(await findServing(config)).toBe(pid);
  });

  test.each([
    [['check', '--config', 'gateway.yaml']],
    [['serve', '--config', 'other.yaml']],
    [['serve', '--config', 'missing.yaml']],
    [['serve']],
  ])('is not one with the arguments %j', async (args) => {
    await run(process.execPath, 'main.js', ...args);
    expect(await findServing(config)).toBeUndefined();
  });

  test('is not the one that has started it', async () => {
    await run('sh', '-c', 'echo up; kill -STOP $$', 'main.js', 'serve', '--config', config);
    expect(await findServing(config)).toBeUndefined();
  });

  // Only root can start a process of another user.
  test.each(process.getuid?.() === 0 ? [65_534] : [])('is not one of user %d', async (user) => {
    const become = [`--reuid=${user}`, '--clear-groups', '--'];
    await run('setpriv', ...become, process.execPath, 'main.js', 'serve', '--config', config);
    expect(await findServing(config)).toBeUndefined();
  });

  test('is unknown for a pipe', async () => {
    const pipe = join(folder, 'pipe');
    await runToSuccess({ file: 'mkfifo', args: [pipe] });
    await run(process.execPath, 'main.js', '--config', pipe);
    expect(await findServing(pipe)).toBeUndefined();
  });
});

test('a port is held by the process that listens there', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { pid } = await run(process.execPath, 'main.js');
  expect(await holdsPort(process.pid, port)).toBe(true);
  expect(await holdsPort(pid, port)).toBe(false);
  server.close();
  await once(server, 'close');
  expect(await holdsPort(process.pid, port)).toBe(false);
});
