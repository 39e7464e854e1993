// Writes the description of the API, and the page at /docs, which has the same content as its
// reference: into dist/ for `serve`, or with --repository, filled in with the default limits,
// openapi.json of the repository.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultLimits } from '../../src/config/config.ts';
import { createOpenApi } from '../../src/http/routes/docs.ts';
import { buildOpenApi } from './document.ts';
import { buildReference } from './reference.ts';

const project = fileURLToPath(new URL('../../..', import.meta.url));
const template = JSON.stringify(buildOpenApi());

if (process.argv.includes('--repository')) {
  const { bytes } = createOpenApi(template, defaultLimits, true);
  const document: unknown = JSON.parse(bytes.toString());
  writeFileSync(join(project, 'openapi.json'), `${JSON.stringify(document, null, 2)}\n`);
} else {
  writeFileSync(join(project, 'dist/openapi.json'), template);
  const page = readFileSync(join(project, 'docs-page/page.html'), 'utf8');
  const reference = buildReference(JSON.parse(template));
  writeFileSync(
    join(project, 'dist/docs/page.html'),
    page.replace('<!-- reference -->', () => reference),
  );
  copyFileSync(join(project, 'docs-page/page.css'), join(project, 'dist/docs/page.css'));
}
