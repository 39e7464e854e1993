import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/**
 * The folders of src, and the folders that each may import; `core/*` is core with the folders in it.
 * main → cli → gateway → xmpp, http, config → auth, templates → store → core
 */
const layers: Readonly<Record<string, readonly string[]>> = {
  '.': ['cli/*', 'config'],
  cli: ['auth', 'config', 'core/*', 'gateway', 'xmpp/probes', 'xmpp/server'],
  'cli/check': ['auth', 'cli', 'config', 'core/*', 'store', 'xmpp/*'],
  'cli/send': ['cli', 'config', 'core/*'],
  gateway: ['auth/*', 'config', 'core/*', 'http/*', 'store', 'templates', 'xmpp/*'],
  config: ['auth', 'core/*', 'templates'],

  http: ['core/*', 'http/request', 'http/response', 'http/routes'],
  'http/routes': ['auth', 'core/*', 'http/idempotency', 'http/request', 'http/response'],
  'http/idempotency': ['core/*', 'http/response', 'store'],
  'http/request': ['auth', 'core/*', 'http/response'],
  'http/server': ['core/*', 'http/response'],
  'http/response': ['core/*'],

  auth: ['auth/throttle', 'core/*'],
  'auth/throttle': ['core/*', 'store'],
  store: ['core/*'],
  templates: ['core/*'],

  xmpp: ['core/*', 'xmpp/delivery', 'xmpp/rooms', 'xmpp/stream', 'xmpp/server', 'xmpp/wire'],
  'xmpp/delivery': ['core/*', 'xmpp/stream', 'xmpp/server', 'xmpp/wire'],
  'xmpp/rooms': ['core/*', 'xmpp/stream', 'xmpp/server', 'xmpp/wire'],
  'xmpp/probes': ['core/*', 'xmpp/sasl', 'xmpp/stream', 'xmpp/server', 'xmpp/wire'],
  'xmpp/stream': ['core/*', 'xmpp/server', 'xmpp/wire'],
  'xmpp/server': ['core/*', 'xmpp/wire'],
  'xmpp/sasl': ['core/*', 'xmpp/wire'],
  'xmpp/wire': ['core/*'],

  'core/message': ['core', 'core/jid', 'core/xml'],
  'core/jid': ['core'],
  'core/xml': ['core'],
  core: [],
};

/** The packages that only one part of src may import. */
const keepers: Readonly<Record<string, string>> = {
  '@koa/router': 'http',
  koa: 'http',
  'koa-bodyparser': 'http',
  '@redis/client': 'store',
  '@xmpp/component': 'xmpp/stream',
  liquidjs: 'templates',
  'prom-client': 'gateway',
};

/** `core` does no I/O. */
const pure = ['node:url', 'node:util', 'ltx', 'saxes', 'xmlchars'];

const source = fileURLToPath(new URL('../../src', import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .toSorted();

/** What each file imports, types included: files of src by their path, packages by their name. */
const imports = new Map(files.map((file) => [file, readImports(file)]));

function readImports(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  const found = text.matchAll(
    /^(?:import|export) (?:[^;']* from )?'([^']+)';$|\bimport\('([^']+)'\)/gm,
  );
  return Array.from(found, ([, atTop, later]) => atTop ?? later ?? '').map((name) =>
    name.startsWith('.') ? normalize(join(dirname(file), name)) : name,
  );
}

function isIn(folder: string, parent: string): boolean {
  return folder === parent || folder.startsWith(`${parent}/`);
}

function mayImport(from: string, to: string): boolean {
  const allowed = layers[from] ?? [];
  return (
    from === to ||
    allowed.some((entry) => (entry.endsWith('/*') ? isIn(to, entry.slice(0, -2)) : to === entry))
  );
}

function packageOf(name: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name;
}

/** A way through the graph that leads back to where it began, or undefined. */
function findCircle(graph: ReadonlyMap<string, Iterable<string>>): string[] | undefined {
  const done = new Set<string>();
  const follow = (node: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node];
    if (done.has(node)) return undefined;
    done.add(node);
    for (const next of graph.get(node) ?? []) {
      const circle = follow(next, [...way, node]);
      if (circle !== undefined) return circle;
    }
    return undefined;
  };
  for (const node of graph.keys()) {
    const circle = follow(node, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function folderGraph(): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const [file, names] of imports) {
    const from = dirname(file);
    const others = names.filter((name) => imports.has(name)).map(dirname);
    graph.set(from, new Set([...(graph.get(from) ?? []), ...others]));
    graph.get(from)?.delete(from);
  }
  return graph;
}

test('the imports are found', () => {
  expect(imports.get('program.ts')).toContain('cli/serve.ts');
  const known = new Set([...files, ...builtinModules.map((name) => `node:${name}`)]);
  const isPath = (name: string): boolean => name.endsWith('.ts') || name.startsWith('node:');
  const unknown = [...imports.values()].flat().filter((name) => isPath(name) && !known.has(name));
  expect(unknown).toEqual([]);
});

test('every folder has its row, and every row its folder', () => {
  expect(Object.keys(layers).toSorted()).toEqual([...new Set(files.map(dirname))].toSorted());
});

test('folders import only the folders in their row', () => {
  const wrong = [...imports].flatMap(([file, names]) =>
    names
      .filter((name) => imports.has(name) && !mayImport(dirname(file), dirname(name)))
      .map((name) => `${file} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

test('packages stay in their part of src', () => {
  const wrong = [...imports].flatMap(([file, names]) =>
    names
      .filter((name) => !imports.has(name))
      .map(packageOf)
      .filter((name) =>
        isIn(dirname(file), 'core')
          ? !pure.includes(name)
          : !isIn(dirname(file), keepers[name] ?? dirname(file)),
      )
      .map((name) => `${file} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

test('there is no circle of folders', () => {
  expect(findCircle(folderGraph())).toBeUndefined();
});

test('there is no circle of files', () => {
  expect(findCircle(imports)).toBeUndefined();
});

test('a circle would be found', () => {
  const graph = new Map([
    ['a', ['b']],
    ['b', ['c', 'd']],
    ['c', []],
    ['d', ['b']],
  ]);
  expect(findCircle(graph)).toEqual(['b', 'd', 'b']);
});
