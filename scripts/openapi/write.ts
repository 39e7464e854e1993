// Writes the description of the API: into dist/ for `serve`, or with --repository, filled in with the
// default limits, as openapi.json of the repository.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultLimits } from '../../src/config/config.ts';
import { createOpenApi } from '../../src/http/routes/docs.ts';
import { buildOpenApi } from './document.ts';

const project = fileURLToPath(new URL('../../..', import.meta.url));
const template = JSON.stringify(buildOpenApi());

if (process.argv.includes('--repository')) {
  const { bytes } = createOpenApi(template, defaultLimits, true);
  const document: unknown = JSON.parse(bytes.toString());
  writeFileSync(join(project, 'openapi.json'), `${JSON.stringify(document, null, 2)}\n`);
} else {
  writeFileSync(join(project, 'dist/openapi.json'), template);
}
