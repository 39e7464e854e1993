import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { type ConfigKey, configKeys, loadConfig } from '../../src/config/config.ts';
import { problems } from '../../src/core/errors.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { logRequest, type RequestRecord } from '../../src/http/request/log.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const configuration = read('docs/configuration.md');

function read(file: string): string {
  return readFileSync(join(project, file), 'utf8');
}

/** The cells of the table in this text that begins with this header, row by row. */
function readTable(text: string, header: string): string[][] {
  const start = text.indexOf(`\n| ${header}`);
  const [, , ...rows] = (text.slice(start + 1).split('\n\n')[0] ?? '').trimEnd().split('\n');
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function code(cell = ''): string {
  return cell.replaceAll('`', '');
}

function defaultCell({ isRequired, default: value }: ConfigKey): string {
  if (isRequired) return 'required';
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function keyRows(): string[][] {
  return readTable(configuration, 'key | default');
}

test('the table of the configuration is the schema: every key, its default, in order; else: change docs/configuration.md', () => {
  const documented = keyRows().map(([key, value]) => [code(key), code(value)]);
  expect(documented).toEqual(configKeys().map((key) => [key.path, defaultCell(key)]));
});

test.each([
  ['_ms', 'ms'],
  ['bytes', 'bytes'],
  ['_file', 'file'],
  ['port', 'TCP port'],
])(
  'the unit of every key that ends in %s is %s; else: change docs/configuration.md',
  (end, unit) => {
    const rows = keyRows().filter(([key]) => code(key).endsWith(end));
    expect(rows.map(([key, , documented]) => [key, documented])).toEqual(
      rows.map(([key]) => [key, unit]),
    );
  },
);

test('the example of a configuration is valid once secret and hash are filled in; else: change docs/configuration.md', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xmg-example-'));
  try {
    const [, example = ''] = /^```yaml\n(component: .*?)^```/ms.exec(configuration) ?? [];
    const hash = `${'A'.repeat(22)}$${'A'.repeat(43)}`;
    writeFileSync(
      join(folder, 'gateway.yaml'),
      example.replace('…$…', () => hash),
    );
    writeFileSync(join(folder, 'component.secret'), 'secret\n');
    const config = await loadConfig(join(folder, 'gateway.yaml'));
    expect(config.apiAccounts[0]?.senders).toEqual(['alice', 'team-*']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the table of problems is the one in src/core/errors.ts; else: change docs/api.md', () => {
  const rows = readTable(read('docs/api.md'), 'code | status');
  const documented = rows.map(([name, ...cells]) => [code(name), ...cells]);
  const real = Object.entries(problems).map(([name, { status, title, retry }]) => [
    name,
    // The status depends on the stanza error.
    name === 'bounced' ? 'see below' : String(status),
    title,
    retry,
  ]);
  expect(documented).toEqual(real);
});

test('the table of metrics has those of src/gateway/metrics.ts, with their labels; else: change docs/operating.md', async () => {
  const metrics = createMetrics('1.2.3');
  metrics.watchStore(() => undefined);
  const { text } = await metrics.read();
  const rows = readTable(read('docs/operating.md'), 'metric | labels').map(([names, labels]) => ({
    names: code(names).split(', '),
    labels: code(labels)
      .split(', ')
      .filter((label) => label !== ''),
  }));
  const real = [...text.matchAll(/^# TYPE xmpp_message_gateway_(\w+)/gm)].map(
    ([, name = '']) => name,
  );
  expect(rows.flatMap(({ names }) => names).toSorted()).toEqual(real.toSorted());
  for (const { names, labels } of rows) {
    const samples = new RegExp(
      `^xmpp_message_gateway_(?:${names.join('|')})(?:_bucket)?\\{(.*)\\}`,
      'gm',
    );
    const found = [...text.matchAll(samples)].flatMap(([, pairs = '']) =>
      [...pairs.matchAll(/(\w+)="/g)].map(([, label = '']) => label),
    );
    expect(new Set(found.filter((label) => label !== 'le'))).toEqual(new Set(labels));
  }
});

test('the table of the fields of a request is what src/http/request/log.ts writes, in order; else: change docs/log.md', () => {
  const record: Required<RequestRecord> = {
    id: 'id',
    address: '192.0.2.1',
    startedMs: 0,
    traceId: 'trace',
    route: 'api',
    account: 'alerts',
    action: 'send',
    sender: 'alice@example.org',
    target: 'bob@example.org',
    recipientDomain: 'example.org',
    recipients: 2,
    counts: { lines: 2, accepted: 1, refused: 1 },
    code: 'partial',
    isReplayed: true,
    dryRun: true,
  };
  const lines: string[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) });
  logRequest(log, record, { method: 'POST', status: 503, code: 'internal', reason: 'a bug' });
  const {
    level: _level,
    msg: _msg,
    ...fields
  }: object & Record<string, unknown> = JSON.parse(lines[0] ?? '');
  const rows = readTable(read('docs/log.md'), 'field | |');
  expect(rows.flatMap(([cell]) => code(cell).split(', '))).toEqual(Object.keys(fields));
});

describe('the table of standards', () => {
  const rows = readTable(read('docs/standards.md'), 'standard | what');

  test('is there', () => {
    expect(rows.length).toBeGreaterThan(10);
  });

  test.each(rows)(
    '%s: %s in %s, which says so; else: change docs/standards.md, or name the standard in the file',
    (standards = '', _what, file) => {
      const text = read(code(file));
      for (const standard of standards.split(', ')) expect(text).toContain(standard);
    },
  );
});

/** Folders whose pages are copies or not ours. */
const foreign = ['node_modules', 'build', 'dist', 'coverage', 'test-artefacts'];

const pages = readdirSync(project, { withFileTypes: true })
  .filter(({ name }) => !foreign.includes(name) && !name.startsWith('.'))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(project, entry.name), { recursive: true, encoding: 'utf8' }).map((file) =>
          join(entry.name, file),
        )
      : [entry.name],
  )
  .filter((file) => file.endsWith('.md'));

/** A page without its code, in which brackets are not links. */
function readProse(file: string): string {
  return read(file)
    .replaceAll(/^ *```[^]*?^ *```$/gm, '')
    .replaceAll(/`[^`\n]*`/g, 'code');
}

/** The anchors that GitHub gives to the headings of a page. */
function readAnchors(file: string): string[] {
  const text = read(file).replaceAll(/^ *```[^]*?^ *```$/gm, '');
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('the pages are found', () => {
  expect(pages).toContain('README.md');
  expect(pages).toContain('docs/api.md');
});

test.each(pages)('every file and heading that %s links to exists', (page) => {
  const targets = [...readProse(page).matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, target = '']) => target,
  );
  const missing = targets.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : relative(project, join(project, dirname(page), path));
    if (!existsSync(join(project, file))) return true;
    return anchor !== undefined && !readAnchors(file).includes(anchor);
  });
  expect(missing).toEqual([]);
});

test.each(pages)('every file of the repository that %s names exists', (page) => {
  const named = [...read(page).matchAll(/`((?:src|test|scripts|docs|docs-page)\/[\w./-]+)`/g)];
  const missing = named
    .map(([, path = '']) => path)
    .filter((path) => !existsSync(join(project, path)));
  expect(missing).toEqual([]);
});
