import { type ProblemCode, problems } from '../../core/errors.ts';
import { bounceStatuses } from '../../core/message/stanza-error.ts';
import { headersOf } from './headers.ts';
import { type ProblemExample, type ProblemExamples, sampleInstance } from './problem-examples.ts';

/**
 * Where a problem is met: the two message URLs, the permissions of a user (read or changed), a page,
 * a page among others of its kind.
 */
export type Place = 'user' | 'api' | 'acl' | 'acl-change' | 'page' | 'named-page';

const messages = ['user', 'api'] as const;
const acl = ['acl', 'acl-change'] as const;
const withBody = [...messages, 'acl-change'] as const;
const withLogin = [...messages, ...acl] as const;
const everywhere = [...withLogin, 'page', 'named-page'] as const;

const placesOf = {
  'malformed-body': withBody,
  unauthenticated: withLogin,
  'permission-missing': ['user'],
  'domain-not-allowed': ['api', ...acl],
  'sender-not-allowed': ['api', ...acl],
  'sender-refused': messages,
  'management-not-allowed': acl,
  'unknown-domain': withLogin,
  'not-found': [...withLogin, 'named-page'],
  'method-not-allowed': everywhere,
  'idempotency-in-progress': messages,
  'granted-in-configuration': ['acl-change'],
  'too-large': withBody,
  'unsupported-media-type': withBody,
  'invalid-message': withLogin,
  'idempotency-mismatch': messages,
  'too-many-requests': withLogin,
  bounced: messages,
  internal: everywhere,
  'xmpp-unavailable': messages,
  'authentication-unavailable': messages,
  overloaded: withLogin,
  'store-unavailable': [...messages, 'acl-change'],
  'delivery-unknown': messages,
} as const satisfies Record<ProblemCode, readonly Place[]>;

/** The names of all problems. */
export const problemCodes: readonly ProblemCode[] = Object.keys(problems).filter(isProblemCode);

function isProblemCode(code: string): code is ProblemCode {
  return code in problems;
}

/** Responses that several operations have, by name. */
export type ResponsePool = Map<string, object>;

/** References to the responses of a place that are problems, by status; the pool gets them. */
export function buildProblemResponses(
  place: Place,
  examples: ProblemExamples,
  pool: ResponsePool,
): Record<string, object> {
  const codes = problemCodes.filter((code) => isMetAt(code, place));
  const statuses = new Set(codes.flatMap(statusesOf));
  return Object.fromEntries(
    Array.from(statuses, (status) => {
      const told = codes.filter((code) => statusesOf(code).includes(status));
      const isMessageUrl = place === 'user' || place === 'api';
      const response = {
        ...buildResponse(status, told, examples),
        headers: headersOf(status, isMessageUrl),
      };
      return [String(status), share(place, status, response, pool)];
    }),
  );
}

/** A reference to the response, or to an equal one that is there already. */
function share(place: Place, status: number, response: object, pool: ResponsePool): object {
  const text = JSON.stringify(response);
  const common = `problem-${status}`;
  const own = pool.has(common) ? `${common}-${place}` : common;
  const [name = own] = [...pool].find(([, other]) => JSON.stringify(other) === text) ?? [];
  pool.set(name, response);
  return { $ref: `#/components/responses/${name}` };
}

function isMetAt(code: ProblemCode, place: Place): boolean {
  const places: readonly Place[] = placesOf[code];
  return places.includes(place);
}

function statusesOf(code: ProblemCode): readonly number[] {
  return code === 'bounced' ? bounceStatuses : [problems[code].status];
}

function buildResponse(
  status: number,
  codes: readonly ProblemCode[],
  examples: ProblemExamples,
): object {
  // a bounce has many statuses; its example has the one of its condition
  const shown = codes.filter((code) => code !== 'bounced' || status === 404);
  return {
    description: codes.map(describe).join('\n'),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Problem' },
            { properties: { status: { const: status }, code: { type: 'string', enum: codes } } },
          ],
        },
        ...(shown.length === 0
          ? {}
          : {
              examples: Object.fromEntries(
                shown.map((code) => [code, buildExample(status, code, examples[code])]),
              ),
            }),
      },
    },
  };
}

function describe(code: ProblemCode): string {
  const { title, retry } = problems[code];
  return `* \`${code}\`: ${title} May the same request be sent again? ${retry}`;
}

function buildExample(status: number, code: ProblemCode, example: ProblemExample): object {
  const { title } = problems[code];
  const { detail, ...rest } = example;
  return {
    summary: title,
    value: {
      type: `/problems/${code}`,
      title,
      status,
      detail,
      code,
      instance: sampleInstance,
      ...rest,
    },
  };
}
