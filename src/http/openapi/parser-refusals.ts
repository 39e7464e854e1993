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

/** Refusals by the HTTP parser, which no code describes. */
export const parserRefusals = {
  '408': { description: 'The request was not complete in time.', content: bareProblem },
  '431': { description: 'The header fields are too large.', content: bareProblem },
};
