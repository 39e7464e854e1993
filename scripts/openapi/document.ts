import { buildAclPaths } from './acl-operations.ts';
import { headers } from './headers.ts';
import { buildMessagePaths, messageBody } from './message-operations.ts';
import { buildPagePaths } from './page-operations.ts';
import { parameters } from './parameters.ts';
import type { ResponsePool } from './problems.ts';
import { schemas } from './schemas.ts';

/**
 * The description of the HTTP API as an OpenAPI 3.1 document, with `{{name}}` in place of each limit:
 * `createOpenApi` in src/http/routes/docs.ts fills those in.
 */
export function buildOpenApi(): object {
  const responses: ResponsePool = new Map();
  const paths = {
    ...buildMessagePaths(responses),
    ...buildAclPaths(responses),
    ...buildPagePaths(responses),
  };
  return {
    openapi: '3.1.0',
    info,
    // Relative to this document: a proxy may serve the gateway below a path.
    servers: [{ url: '.', description: 'The gateway that this document comes from.' }],
    tags,
    paths,
    components: {
      schemas,
      parameters,
      requestBodies: { Message: messageBody },
      responses: Object.fromEntries(responses),
      headers,
      securitySchemes,
    },
  };
}

const info = {
  title: 'xmpp-message-gateway',
  version: '1.0',
  summary: 'HTTP in, XMPP out',
  description:
    'A `POST` becomes a `<message/>` of a user of your XMPP server, and a 200 means that the server has processed it.\n\n' +
    'Every refusal is a problem (RFC 9457) with a stable `code`. A request that is not valid HTTP, or is not complete in time, gets 400, 408, 413 or 431 with the type `about:blank`; one to any other URL gets 404 `not-found`.',
  license: { name: 'MIT', identifier: 'MIT' },
};

const tags = [
  { name: 'messages', description: 'Send messages.' },
  {
    name: 'permissions',
    description: 'Who may send. What the configuration grants can be revoked there only.',
  },
  { name: 'health', description: 'For the operators of the gateway; no password needed.' },
  { name: 'documentation', description: 'What this API is; no password needed.' },
];

const securitySchemes = {
  xmppUser: {
    type: 'http',
    scheme: 'basic',
    description: 'Localpart (or bare JID) and password of a user of the XMPP server, in UTF-8.',
  },
  apiAccount: {
    type: 'http',
    scheme: 'basic',
    description: 'An API account of the gateway’s configuration.',
  },
};
