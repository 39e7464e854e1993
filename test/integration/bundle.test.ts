import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const dist = join(project, 'dist');
const files = readdirSync(dist).filter((file) => file.endsWith('.js'));

const read = (file: string): string => readFileSync(join(dist, file), 'utf8');
const findAll = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found = '']) => found);

/** What is loaded with a file, and what it loads when it has to. */
const importsOf = (file: string): string[] =>
  findAll(read(file), /^(?:import|export) (?:[^"]* from )?"([^"]+)";$/gm);
const lazyImportsOf = (file: string): string[] =>
  findAll(read(file), /\b(?:import|__require)\("([^"]+)"\)/g);

/** The file and all that is reached from it. */
function reach(first: string, next: (file: string) => string[]): string[] {
  const reached = new Set([first]);
  for (const file of reached) {
    for (const name of next(file)) if (name.startsWith('./')) reached.add(name.slice(2));
  }
  return [...reached].toSorted();
}

/** The packages whose modules are in a file, as keys of package-lock.json. */
const packagesIn = (file: string): string[] =>
  findAll(read(file), /^\/\/ (.*node_modules\/(?:@[^/]+\/)?[^/\n]+)/gm);

test('all that is imported is there, and nothing else', () => {
  const all = (file: string): string[] => [...importsOf(file), ...lazyImportsOf(file)];
  expect(reach('main.js', all)).toEqual(files.toSorted());
  const foreign = files.flatMap(all).filter((name) => !name.startsWith('./') && !isBuiltin(name));
  // `debug` and `@redis/client` take them where they are installed, and do without elsewhere.
  expect(new Set(foreign)).toEqual(new Set(['@node-rs/xxhash', 'supports-color']));
});

test('what only some configurations need is not loaded with the others', () => {
  const loaded = reach('serve.js', importsOf).flatMap(packagesIn);
  expect(loaded).toContain('node_modules/koa');
  for (const name of ['pino-pretty', 'prom-client', '@opentelemetry/api', '@redis/client']) {
    expect(files.flatMap(packagesIn)).toContain(`node_modules/${name}`);
    expect(loaded).not.toContain(`node_modules/${name}`);
  }
});

test('the description of the API is a file, and what builds it is left out', () => {
  const { paths } = JSON.parse(read('openapi.json'));
  expect(Object.keys(paths)).toContain('/livez');
  expect(files.filter((file) => read(file).includes('operationId'))).toEqual([]);
});

test('the licence of each bundled package is with it', () => {
  const lock: { packages: Record<string, { version: string; license: string }> } = JSON.parse(
    readFileSync(join(project, 'package-lock.json'), 'utf8'),
  );
  const licences = read('LICENSES.txt');
  const keys = new Set(files.flatMap(packagesIn));
  expect(keys.size).toBeGreaterThan(60);
  for (const key of keys) {
    const { version, license } = lock.packages[key]!;
    const name = key.replace(/^.*node_modules\//, '');
    expect(licences).toContain(`\n${name}@${version}: ${license}\n`);
  }
});
