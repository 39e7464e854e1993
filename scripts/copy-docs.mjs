// Copies the other files of the page at /docs next to its compiled scripts.
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const target = fileURLToPath(new URL('../dist/docs/', import.meta.url));
const ours = fileURLToPath(new URL('../docs-page/', import.meta.url));
const library = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

mkdirSync(target, { recursive: true });
for (const name of ['page.html', 'page.css']) copyFileSync(join(ours, name), join(target, name));
for (const [name, copy = name] of [
  ['swagger-ui.css'],
  ['swagger-ui-bundle.js'],
  ['swagger-ui-bundle.js.LICENSE.txt'],
  ['LICENSE', 'LICENSE.txt'],
  ['NOTICE', 'NOTICE.txt'],
]) {
  copyFileSync(join(library, name), join(target, copy));
}
