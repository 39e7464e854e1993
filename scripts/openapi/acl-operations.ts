import type { ProblemPlace } from '../../src/core/errors.ts';
import { createJid } from '../../src/core/jid/jid.ts';
import { buildAcl, parametersExpected } from '../../src/http/routes/acl.ts';
import { headersOf } from './headers.ts';
import { parameter } from './parameters.ts';
import {
  buildProblemResponses,
  type OwnExamples,
  parserRefusals,
  type ResponsePool,
} from './problems.ts';

/** The path item of a user's permissions. */
export function buildAclPaths(pool: ResponsePool): Record<string, object> {
  return {
    '/api/1.0/xmppdomains/{fqdn}/users/{username}/acl': {
      parameters: [parameter('fqdn'), parameter('username'), parameter('format')],
      get: {
        operationId: 'readAcl',
        summary: 'Read the permissions of a user',
        ...buildOperation('acl', 'What the user may do.', examplesOfReading, pool),
      },
      put: {
        operationId: 'changeAcl',
        summary: 'Grant or revoke a permission',
        requestBody: aclChange,
        ...buildOperation('acl-change', 'What the user may do from now on.', examples, pool),
      },
    },
  };
}

const wrongType = 'Expected true or false, got a string.';

/** The wording differs from that of the message URLs. */
const examples = {
  'method-not-allowed': { detail: 'Expected GET or PUT, got POST.' },
  'unsupported-media-type': {
    detail: 'Content-Type "application/xml" is not supported. Send application/json, in UTF-8.',
  },
  'invalid-message': {
    detail: `/acl/xmppgateway: ${wrongType}`,
    errors: [{ pointer: '/acl/xmppgateway', detail: wrongType }],
  },
  'store-unavailable': { detail: 'The grants cannot be changed now.' },
  overloaded: { detail: 'Too many passwords are being checked.' },
};
const examplesOfReading = { ...examples, 'invalid-message': { detail: parametersExpected } };

const aclChange = {
  required: true,
  description: 'In UTF-8, not compressed.',
  content: {
    'application/json': {
      schema: { $ref: '#/components/schemas/AclChange' },
      examples: {
        granted: { summary: 'Grant', value: { acl: { xmppgateway: true } } },
        denied: { summary: 'Revoke', value: { acl: { xmppgateway: false } } },
      },
    },
  },
};

const alice = createJid('alice', 'example.org');
const answers = {
  granted: { summary: 'The user has the permission', value: buildAcl(alice, true) },
  denied: { summary: 'The user lacks the permission', value: buildAcl(alice, false) },
};

function buildOperation(
  place: ProblemPlace,
  meaning: string,
  own: OwnExamples,
  pool: ResponsePool,
): object {
  return {
    tags: ['permissions'],
    description:
      'Log in with an API account that has `manage: true` and may speak as the user. The user need not exist.',
    security: [{ apiAccount: [] }],
    responses: {
      '200': {
        description: meaning,
        headers: headersOf(200, false),
        content: {
          'application/json': { schema: { $ref: '#/components/schemas/Acl' }, examples: answers },
        },
      },
      ...buildProblemResponses(place, own, pool),
      ...parserRefusals,
    },
  };
}
