import {
  type Problem,
  type ProblemCode,
  type ProblemExample,
  type ProblemPlace,
  problemCodes,
  problems,
} from '../../src/core/errors.ts';
import { bounceStatuses } from '../../src/core/message/stanza-error.ts';
import { headersOf } from './headers.ts';
import { sampleId } from './message-examples.ts';

/** Examples that an operation has in place of those in the table of problems. */
export type OwnExamples = Readonly<Partial<Record<ProblemCode, ProblemExample>>>;

const table: Readonly<Record<ProblemCode, Problem>> = problems;

/** Responses that several operations share, by name. */
export type ResponsePool = Map<string, object>;

/** References to the problems of a place, by status; the responses themselves go into the pool. */
export function buildProblemResponses(
  place: ProblemPlace,
  examples: OwnExamples,
  pool: ResponsePool,
): Record<string, object> {
  const codes = problemCodes.filter((code) => table[code].at.includes(place));
  const statuses = new Set(codes.flatMap(statusesOf));
  return Object.fromEntries(
    Array.from(statuses, (status) => {
      const met = codes.filter((code) => statusesOf(code).includes(status));
      const isMessageUrl = place === 'user' || place === 'api';
      const response = {
        ...buildResponse(status, met, examples),
        headers: headersOf(status, isMessageUrl),
      };
      return [String(status), addToPool(place, status, response, pool)];
    }),
  );
}

/** Adds the response to the pool unless an equal one is in it. */
function addToPool(
  place: ProblemPlace,
  status: number,
  response: object,
  pool: ResponsePool,
): object {
  const text = JSON.stringify(response);
  const common = `problem-${status}`;
  const own = pool.has(common) ? `${common}-${place}` : common;
  const [name = own] = [...pool].find(([, other]) => JSON.stringify(other) === text) ?? [];
  pool.set(name, response);
  return { $ref: `#/components/responses/${name}` };
}

function statusesOf(code: ProblemCode): readonly number[] {
  return code === 'bounced' ? bounceStatuses : [table[code].status];
}

function buildResponse(
  status: number,
  codes: readonly ProblemCode[],
  examples: OwnExamples,
): object {
  // A bounce can have many statuses; the one in the example belongs to its condition.
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
                shown.map((code) => [
                  code,
                  buildExample(status, code, examples[code] ?? table[code].example),
                ]),
              ),
            }),
      },
    },
  };
}

function describe(code: ProblemCode): string {
  const { title, retry } = table[code];
  return `* \`${code}\`: ${title} May the same request be sent again? ${retry}`;
}

function buildExample(status: number, code: ProblemCode, example: ProblemExample): object {
  const { title } = table[code];
  const { detail, ...rest } = example;
  return {
    summary: title,
    value: {
      type: `/problems/${code}`,
      title,
      status,
      detail,
      code,
      instance: `urn:uuid:${sampleId}`,
      ...rest,
    },
  };
}

const bareProblem = {
  'application/problem+json': {
    schema: {
      type: 'object',
      required: ['type', 'title', 'status'],
      properties: {
        type: { type: 'string', const: 'about:blank' },
        title: { type: 'string' },
        status: { type: 'integer' },
      },
    },
  },
};

/** The answers of the HTTP parser, which have no code. */
export const parserRefusals = {
  '408': { description: 'The request was not complete in time.', content: bareProblem },
  '431': { description: 'The header fields are too large.', content: bareProblem },
};
