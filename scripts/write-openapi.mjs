// Writes openapi.json, the description of a gateway with the default limits.
import { writeFileSync } from 'node:fs';
import { configSchema } from '../build/src/config/schema.js';
import { buildOpenApi } from '../build/src/http/openapi/document.js';

const { body_bytes, stanza_bytes, depth, attributes } = configSchema.shape.limits.parse(undefined);
const limits = { bodyBytes: body_bytes, stanzaBytes: stanza_bytes, depth, attributes };
const document = buildOpenApi({ limits, hasDocs: true });
writeFileSync(
  new URL('../openapi.json', import.meta.url),
  `${JSON.stringify(document, null, 2)}\n`,
);
