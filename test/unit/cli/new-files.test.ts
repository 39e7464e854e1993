import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFiles } from '../../../src/cli/new-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xmg-new-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (path: string): { path: string; text: string } => ({
  path: join(folder, path),
  text: path,
});

test('creates all files with their rights', async () => {
  await createFiles([at('one'), { ...at('two'), mode: 0o660 }]);
  const modes = ['one', 'two'].map((name) => statSync(join(folder, name)).mode & 0o777);
  expect(modes).toEqual([0o600, 0o660]);
  expect(readFileSync(join(folder, 'two'), 'utf8')).toBe('two');
});

test('where one cannot be written, nothing is left behind', async () => {
  await expect(createFiles([at('one'), at('none/two')])).rejects.toThrow('ENOENT');
  expect(readdirSync(folder)).toEqual([]);
});

test('a file that exists stays as it is', async () => {
  writeFileSync(join(folder, 'two'), 'mine');
  await expect(createFiles([at('one'), at('two')])).rejects.toThrow('EEXIST');
  expect(readdirSync(folder)).toEqual(['two']);
  expect(readFileSync(join(folder, 'two'), 'utf8')).toBe('mine');
});
