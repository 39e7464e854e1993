import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { docsFiles, readDocs } from '../../../../src/http/routes/docs-files.ts';
import { createDirectory, removeDirectory } from '../../../support/processes.ts';

it('reads every file, each with a tag of what is in it', () => {
  const directory = createDirectory('docs');
  for (const name of Object.keys(docsFiles)) writeFileSync(join(directory, name), `${name} ü`);
  writeFileSync(join(directory, 'other.js'), '');
  const docs = readDocs(directory);
  expect([...docs.keys()]).toEqual(Object.keys(docsFiles));
  expect(docs.get('page.js')?.bytes.toString()).toBe('page.js ü');
  const tags = [...docs.values()].map(({ etag }) => etag);
  expect(new Set(tags).size).toBe(tags.length);
  for (const tag of tags) expect(tag).toMatch(/^"[\w-]{43}"$/);
  rmSync(join(directory, 'NOTICE.txt'));
  expect(() => readDocs(directory)).toThrow('NOTICE.txt');
  removeDirectory(directory);
});
