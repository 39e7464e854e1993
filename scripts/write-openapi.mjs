// Writes openapi.json, the description of a gateway with the default limits.
import { writeFileSync } from 'node:fs';
import { defaultLimits } from '../build/src/config/config.js';
import { buildOpenApi } from '../build/src/http/openapi/document.js';

const document = buildOpenApi({ limits: defaultLimits, hasDocs: true });
writeFileSync(
  new URL('../openapi.json', import.meta.url),
  `${JSON.stringify(document, null, 2)}\n`,
);
