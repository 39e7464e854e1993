// Writes openapi.json, the description of a gateway with the default limits.
import { writeFileSync } from 'node:fs';
import { buildLimits } from '../build/src/config/config.js';
import { configSchema } from '../build/src/config/schema.js';
import { buildOpenApi } from '../build/src/http/openapi/document.js';

const limits = buildLimits(configSchema.shape.limits.parse(undefined));
const document = buildOpenApi({ limits, hasDocs: true });
writeFileSync(
  new URL('../openapi.json', import.meta.url),
  `${JSON.stringify(document, null, 2)}\n`,
);
