import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseTemplate } from '../../../src/templates/engine.ts';

const project = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(join(project, 'docs/templates.md'), 'utf8');
const names = readdirSync(join(project, 'src/templates/built-in')).map((file) =>
  file.replace('.liquid', ''),
);

/** The part of the page below a heading. */
function section(heading: string): string {
  return page.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
}

function blocks(text: string, language: string): string[] {
  const found = text.matchAll(/^```(\w*)\n([^]*?)^```$/gm);
  return [...found].filter(([, named]) => named === language).map(([, , block = '']) => block);
}

test.each(names)('the texts of %s are those of its payloads', (name) => {
  const folder = join(project, 'test/corpus/webhooks', name);
  const texts = readdirSync(folder)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => readFileSync(join(folder, file), 'utf8'));
  const shown = blocks(section(name), '');
  expect(shown.length).toBeGreaterThan(0);
  expect(texts).toEqual(expect.arrayContaining(shown));
});

test('the example of an own template gives the text shown', () => {
  const example = section('A template of your own');
  const [json = ''] = blocks(example, 'json');
  const [source = ''] = blocks(example, 'liquid');
  const [text] = blocks(example, '');
  expect(`${parseTemplate(source).render(JSON.parse(json)).trim()}\n`).toBe(text);
});

test('the limits are those of the engine', () => {
  const engine = readFileSync(join(project, 'src/templates/engine.ts'), 'utf8');
  const limits = [...engine.matchAll(/^ {2}(?:characters|steps|memory): ([\d_]+),/gm)];
  const documented = section('Limits');
  expect(limits).toHaveLength(3);
  for (const [, limit = ''] of limits) expect(documented).toContain(limit.replaceAll('_', ','));
});
