import { type ProblemPlace, problemCodes } from '../../src/core/errors.ts';
import { buildProblemPage, docsFiles } from '../../src/http/routes/docs.ts';
import { headersOf } from './headers.ts';
import { buildProblemResponses, type ResponsePool } from './problems.ts';

/** A URL that has GET and HEAD. */
interface Page {
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly place: ProblemPlace;
  readonly parameters?: readonly object[];
  readonly responses: Readonly<Record<string, object>>;
}

/** The path items of the URLs that need no password. */
export function buildPagePaths(pool: ResponsePool): Record<string, object> {
  return Object.fromEntries(
    Object.entries({ ...pages, ...docsPages }).map(([path, page]) => [
      path,
      { get: buildOperation(page, '', pool), head: buildOperation(page, 'Head', pool) },
    ]),
  );
}

const examples = { 'method-not-allowed': { detail: 'Expected GET or HEAD, got POST.' } };

function buildOperation(page: Page, suffix: string, pool: ResponsePool): object {
  const { operationId, tag, summary, place, parameters, responses } = page;
  return {
    operationId: operationId + suffix,
    tags: [tag],
    summary: suffix === '' ? summary : `${summary} (without the body)`,
    security: [],
    ...(parameters === undefined ? {} : { parameters }),
    responses: { ...responses, ...buildProblemResponses(place, examples, pool) },
  };
}

function json(description: string, schema: object, value: object): object {
  const content = { 'application/json': { schema, example: value } };
  return { description, headers: headersOf(200, false), content };
}

function statusSchema(
  status: string,
  required: Readonly<Record<string, object>> = {},
  optional: Readonly<Record<string, object>> = {},
): object {
  return {
    type: 'object',
    required: ['status', ...Object.keys(required)],
    properties: { status: { type: 'string', const: status }, ...required, ...optional },
  };
}

const domains = {
  type: 'object',
  additionalProperties: { $ref: '#/components/schemas/ModeReport' },
};

const plainMode = {
  mode: 'plain',
  archive: false,
  carbons: false,
  bounces: { local: true, remote: false },
};

const pages: Readonly<Record<string, Page>> = {
  '/livez': {
    operationId: 'livez',
    tag: 'health',
    summary: 'Is the process up?',
    place: 'page',
    responses: { '200': json('It is.', statusSchema('alive'), { status: 'alive' }) },
  },
  '/readyz': {
    operationId: 'readyz',
    tag: 'health',
    summary: 'Can messages be sent now?',
    place: 'page',
    responses: {
      '200': json(
        'The component stream is online, and the XMPP server trusts it for every domain.',
        statusSchema('ready', { domains }, { degraded: { type: 'string' } }),
        { status: 'ready', domains: { 'example.org': plainMode, 'example.net': plainMode } },
      ),
      '503': json('They cannot.', statusSchema('unavailable', { reason: { type: 'string' } }), {
        status: 'unavailable',
        reason: 'connect ECONNREFUSED 127.0.0.1:5347',
      }),
    },
  },
  '/problems/{code}': {
    operationId: 'problem',
    tag: 'documentation',
    summary: 'What the code of a problem means, as plain text',
    place: 'named-page',
    parameters: [
      {
        name: 'code',
        in: 'path',
        required: true,
        schema: { type: 'string', enum: problemCodes },
        example: 'bounced',
      },
    ],
    responses: {
      '200': {
        description: 'An explanation.',
        content: {
          'text/plain': { schema: { type: 'string' }, example: buildProblemPage('bounced') },
        },
      },
    },
  },
  '/openapi.json': {
    operationId: 'openapi',
    tag: 'documentation',
    summary: 'The description of this API',
    place: 'page',
    responses: {
      '200': {
        description: 'OpenAPI 3.1, with the limits of this gateway.',
        content: { 'application/json': { schema: { type: 'object' } } },
      },
    },
  },
};

const eTag = { description: 'RFC 9110 §8.8.3.', required: true, schema: { type: 'string' } };
const cached = {
  headers: {
    ETag: eTag,
    'Cache-Control': { required: true, schema: { type: 'string', const: 'no-cache' } },
    'Content-Security-Policy': { required: true, schema: { type: 'string' } },
    'X-Content-Type-Options': { required: true, schema: { type: 'string', const: 'nosniff' } },
    'Referrer-Policy': { required: true, schema: { type: 'string', const: 'no-referrer' } },
  },
};
const notModified = { description: 'The browser has it already.', ...cached };

const docsPages: Readonly<Record<string, Page>> = {
  '/docs': {
    operationId: 'docs',
    tag: 'documentation',
    summary: 'A page that explains and tries the API',
    place: 'page',
    responses: {
      '200': {
        description: 'The page.',
        ...cached,
        content: { 'text/html': { schema: { type: 'string' } } },
      },
      '304': notModified,
    },
  },
  '/docs/{file}': {
    operationId: 'docsFile',
    tag: 'documentation',
    summary: 'A style sheet or script of the page at /docs',
    place: 'named-page',
    parameters: [
      {
        name: 'file',
        in: 'path',
        required: true,
        schema: { type: 'string', enum: Object.keys(docsFiles) },
        example: 'page.js',
      },
    ],
    responses: {
      '200': {
        description: 'The file.',
        ...cached,
        content: Object.fromEntries(
          [...new Set(Object.values(docsFiles))].map((type) => [
            type.replace(/;.*/, ''),
            { schema: { type: 'string' } },
          ]),
        ),
      },
      '304': notModified,
    },
  },
};
