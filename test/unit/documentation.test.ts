import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type ConfigKey, configKeys, loadConfig } from '../../src/config.ts';
import { problems } from '../../src/core/errors.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(project, 'README.md'), 'utf8');

/** The cells of the table that begins with this header, row by row. */
function readTable(header: string): string[][] {
  const start = readme.indexOf(`\n| ${header}`);
  const [, , ...rows] = (readme.slice(start + 1).split('\n\n')[0] ?? '').trimEnd().split('\n');
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

test('the table of the configuration is the schema: every key, its default, in order', () => {
  const documented = readTable('key | default').map(([key, value]) => [code(key), code(value)]);
  expect(documented).toEqual(configKeys().map((key) => [key.path, defaultCell(key)]));
});

test.each([
  ['_ms', 'ms'],
  ['bytes', 'bytes'],
  ['_file', 'file'],
  ['port', 'TCP port'],
])('the unit of every key that ends in %s is %s', (end, unit) => {
  const rows = readTable('key | default').filter(([key]) => code(key).endsWith(end));
  expect(rows.map(([key, , documented]) => [key, documented])).toEqual(
    rows.map(([key]) => [key, unit]),
  );
});

test('the example of a configuration is valid once secret and hash are filled in', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xmg-readme-'));
  try {
    const [, example = ''] = /^```yaml\n(component: .*?)^```/ms.exec(readme) ?? [];
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

test('the table of problems is the one in src/core/errors.ts', () => {
  const documented = readTable('code | status').map(([name, ...cells]) => [code(name), ...cells]);
  const real = Object.entries(problems).map(([name, { status, title, retry }]) => [
    name,
    // its status goes by the stanza error
    name === 'bounced' ? 'see below' : String(status),
    title,
    retry,
  ]);
  expect(documented).toEqual(real);
});

describe('the table of standards', () => {
  const rows = readTable('standard | what');

  test('is there', () => {
    expect(rows.length).toBeGreaterThan(10);
  });

  test.each(rows)('%s: %s in %s, which says so', (standards = '', _what, file) => {
    const text = readFileSync(join(project, code(file)), 'utf8');
    for (const standard of standards.split(', ')) expect(text).toContain(standard);
  });
});

test('every file and heading that is linked to exists', () => {
  const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
  const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(
    ([, heading = '']) => `#${heading.toLowerCase().replaceAll(' ', '-')}`,
  );
  const missing = targets.filter(
    (target) => !headings.includes(target) && !existsSync(join(project, target)),
  );
  expect(targets.length).toBeGreaterThan(5);
  expect(missing).toEqual([]);
});
