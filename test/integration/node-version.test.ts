import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDirectory, removeDirectory, runChild } from '../support/system/processes.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const { engines, scripts }: { engines: { node: string }; scripts: Record<string, string> } =
  JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));

let folder: string;
beforeAll(() => {
  folder = createDirectory('node-version');
});
afterAll(() => removeDirectory(folder));

/** Runs a file with a Node.js that claims to be of this version. */
function runAs(version: string, file: string, ...args: string[]) {
  const claim = join(folder, `${version}.cjs`);
  const versions = `{ ...process.versions, node: ${JSON.stringify(version)} }`;
  writeFileSync(claim, `Object.defineProperty(process, 'versions', { value: ${versions} });`);
  return runChild({
    file: process.execPath,
    args: ['--require', claim, join(project, file), ...args],
    cwd: folder,
  });
}

const sentence = (version: string): string =>
  `xmpp-message-gateway needs Node.js ${engines.node.replace('>=', '')} or newer, and this is ${version}: README.md says where to get it.\n`;

test.each([
  ['18.20.8', []],
  ['18.20.8', ['--help']],
  ['20.18.3', ['check', '--config', 'gateway.yaml']],
])('Node.js %s with %j: one sentence', async (version, args) => {
  const { code, stdout, stderr } = await runAs(version, 'dist/main.js', ...args);
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: sentence(version) });
});

test.each(['20.19.0', '22.0.0', '100.1.0'])('Node.js %s is new enough', async (version) => {
  expect(await runAs(version, 'dist/main.js', '--version')).toMatchObject({ code: 0, stderr: '' });
  expect(await runAs(version, 'scripts/check-node.mjs')).toMatchObject({ code: 0, stderr: '' });
});

test('an older Node.js meets nothing that it cannot load before that', () => {
  const importsOf = (file: string): string[] => {
    const text = readFileSync(join(project, 'dist', file), 'utf8');
    return Array.from(text.matchAll(/^import (?:[^"]* from )?"([^"]+)";$/gm), ([, name]) => name!);
  };
  expect(importsOf('main.js')).toEqual(['./rolldown-runtime.js']);
  expect(importsOf('rolldown-runtime.js')).toEqual(['node:module']);
});

test('the npm scripts that a newcomer types say the same sentence', async () => {
  for (const name of ['build', 'dev', 'quickstart', 'test', 'test:unit']) {
    expect([name, scripts[name]]).toEqual([
      name,
      expect.stringMatching(/^node scripts\/check-node\.mjs && /),
    ]);
  }
  const { code, stderr } = await runAs('18.20.8', 'scripts/check-node.mjs');
  expect({ code, stderr }).toEqual({ code: 1, stderr: sentence('18.20.8') });
});
