import { headersOf } from './headers.ts';
import { buildAnswerExamples, buildPartialAnswer, messageExamples } from './message-examples.ts';
import { parameter } from './parameters.ts';
import { buildProblemResponses, parserRefusals, type ResponsePool } from './problems.ts';

/** What differs between the two message URLs. */
interface MessageUrl {
  readonly place: 'user' | 'api';
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly security: string;
  /** The localpart of the sender in the examples. */
  readonly sender: string;
}

const userUrl: MessageUrl = {
  place: 'user',
  operationId: 'sendAsOneself',
  summary: 'Send a message as the XMPP user who logs in',
  description:
    'Log in as an XMPP user with the permission `xmppgateway`: localpart (or bare JID) and password of the account on the XMPP server.',
  security: 'xmppUser',
  sender: 'bot',
};

const apiUrl: MessageUrl = {
  place: 'api',
  operationId: 'sendAsUser',
  summary: 'Send a message as any user, with an API account',
  description:
    'Log in with an API account of the gateway’s configuration, which may speak as `username` in this domain. The user need not exist.',
  security: 'apiAccount',
  sender: 'alice',
};

/** The path items of the two message URLs. */
export function buildMessagePaths(pool: ResponsePool): Record<string, object> {
  const path = '/api/1.0/xmppdomains/{fqdn}/gateway/messages';
  return {
    [path]: { parameters: [parameter('fqdn')], post: buildOperation(userUrl, pool) },
    [`${path}/{username}`]: {
      parameters: [parameter('fqdn'), parameter('username')],
      post: buildOperation(apiUrl, pool),
    },
  };
}

const stanza = { $ref: '#/components/schemas/Stanza' };
const xml = { schema: stanza, examples: messageExamples['application/xml'] };

const lines = {
  schema: {
    type: 'string',
    description:
      'A message as `application/json` has it on each line, with an optional `idempotency_key` (as in the header) and `wait` (seconds, 0 to 60, as `Prefer: wait`).',
  },
};

/** The request body of both URLs. */
export const messageBody = {
  required: true,
  description:
    'In UTF-8, not compressed. A form has the fields `to` (repeatable), `body`, `subject`, `type` and `id`; plain text is the body itself, with the other fields in the query. Both are refused from pages of other sites. XML is one `<message/>` stanza as a client would send it: `to` is required, `from` is replaced, all else is passed on. With `template` in the query the body is any JSON.',
  content: {
    'application/json': {
      schema: { $ref: '#/components/schemas/Message' },
      examples: messageExamples['application/json'],
    },
    'application/x-www-form-urlencoded': {
      schema: { $ref: '#/components/schemas/Form' },
      examples: messageExamples['application/x-www-form-urlencoded'],
    },
    'application/x-ndjson': lines,
    'application/jsonl': lines,
    'text/plain': { schema: { type: 'string' }, examples: messageExamples['text/plain'] },
    'application/xml': xml,
    'text/xml': xml,
    'application/xmpp+xml': xml,
  },
};

function buildOperation(url: MessageUrl, pool: ResponsePool): object {
  return {
    operationId: url.operationId,
    tags: ['messages'],
    summary: url.summary,
    description: url.description,
    security: [{ [url.security]: [] }],
    parameters: [
      parameter('to'),
      parameter('subject'),
      parameter('type'),
      parameter('id'),
      parameter('template'),
      parameter('dryRun'),
      parameter('format'),
      parameter('idempotencyKey'),
      parameter('prefer'),
      parameter('traceparent'),
    ],
    requestBody: { $ref: '#/components/requestBodies/Message' },
    responses: {
      '200': buildSuccess(url.sender),
      '207': buildPartial(url.sender),
      ...buildProblemResponses(url.place, {}, pool),
      ...parserRefusals,
    },
  };
}

function buildSuccess(sender: string): object {
  const { receipts, stanzas, stanzaLists } = buildAnswerExamples(sender);
  return {
    description:
      'The XMPP server has processed the message, and no error had come back by then. Whether an error could come back is in `bounces` of `/readyz`: where it is false (ejabberd without mod_message_gateway, privileges), a message to nobody, or to somebody who blocks the sender, gets 200 too. With `dry_run=true`: the stanza as it would be sent; nothing was sent.',
    headers: headersOf(200, true),
    content: {
      'application/json': {
        schema: {
          oneOf: [
            { $ref: '#/components/schemas/Receipt' },
            { $ref: '#/components/schemas/Results' },
          ],
        },
        examples: receipts,
      },
      'application/xml': { schema: stanza, examples: stanzas },
      'application/xml-external-parsed-entity': { schema: stanza, examples: stanzaLists },
    },
  };
}

function buildPartial(sender: string): object {
  return {
    description:
      'For a list of recipients: not every message was accepted. `results` has a receipt or a problem for each, in order. For `application/x-ndjson`: an answer for each line, in the order in which their fates are known, with its number in `line`, and a last line `{"lines": N, "accepted": A, "refused": R}`.',
    headers: headersOf(207, true),
    content: {
      'application/x-ndjson': { schema: { type: 'string' } },
      'application/json': {
        schema: { $ref: '#/components/schemas/Results' },
        examples: {
          partial: {
            summary: 'One of two recipients does not exist',
            value: buildPartialAnswer(sender),
          },
        },
      },
    },
  };
}
