import { defaultLimits } from '../../src/config/config.ts';
import { GatewayError, problems } from '../../src/core/errors.ts';
import { createJid, parseJid } from '../../src/core/jid/jid.ts';
import { readSubmission } from '../../src/core/message/from-json.ts';
import { parseMessageFromXml } from '../../src/core/message/from-xml.ts';
import { type Submission, serializeMessage } from '../../src/core/message/message.ts';
import type { MessageContext } from '../../src/core/message/rules.ts';
import { buildRefusal } from '../../src/http/response/problem.ts';
import { buildAccepted, buildPreview, buildResults } from '../../src/http/response/receipts.ts';

/** A message that can be sent as it is; the example of its answer has the same name. */
interface MessageExample {
  readonly summary: string;
  /** A JSON value, the fields of a form, plain text, or XML. */
  readonly value: object | string;
}

const bob = 'bob@example.org';

/** Request bodies, by media type and name. */
export const messageExamples = {
  'application/json': {
    short: {
      summary: 'A chat message',
      value: { to: bob, body: 'Disk 93 % full' },
    },
    subject: {
      summary: 'With an id of the caller and a subject',
      value: { to: bob, id: '1234', subject: 'Disk', body: 'Disk 93 % full' },
    },
    list: {
      summary: 'To several recipients, one message each',
      value: { to: [bob, 'carol@example.org'], body: 'Maintenance at 18:00' },
    },
    headline: {
      summary: 'A headline in German, with a link (XEP-0066)',
      value: {
        to: bob,
        message_attributes: { id: 'deploy-17', type: 'headline' },
        body: 'Version 17 läuft.',
        body_attributes: { 'xml:lang': 'de' },
        extra_elements: '<x xmlns="jabber:x:oob"><url>https://ci.example.org/17</url></x>',
      },
    },
  },
  'application/x-www-form-urlencoded': {
    form: { summary: 'A form', value: { to: bob, body: 'Backup done' } },
  },
  'text/plain': {
    text: {
      summary: 'The text alone; with `to=bob@example.org` in the query',
      value: 'Backup done',
    },
  },
  'application/xml': {
    stanza: {
      summary: 'A chat message as a stanza',
      value:
        '<message to="bob@example.org" id="build-4711" type="chat"><body>Build 4711 passed</body></message>',
    },
  },
} as const satisfies Record<string, Record<string, MessageExample>>;

/** An id that the gateway made up. */
export const sampleId = '1b4e28ba-2fa1-4d2e-883f-0016d3cca427';

const context = {
  servedDomains: new Set(['example.org']),
  limits: defaultLimits,
  componentDomain: 'gateway.example.org',
  createId: () => sampleId,
  caller: 'user alice@example.org',
};

/** The answers to all examples, sent by a user of example.org in the mode `plain`. */
export function buildAnswerExamples(localpart: string): {
  readonly receipts: Readonly<Record<string, MessageExample>>;
  readonly stanzas: Readonly<Record<string, MessageExample>>;
  readonly stanzaLists: Readonly<Record<string, MessageExample>>;
} {
  const submissions = readExamples(localpart);
  const buildStanzas = (isList: boolean): Record<string, MessageExample> =>
    mapExamples(
      submissions.filter(([, , submission]) => submission.isList === isList),
      (submission) =>
        buildPreview(
          submission.messages.map((message) => serializeMessage(message, context.limits)),
          submission,
        ).body,
    );
  return {
    receipts: mapExamples(submissions, buildReceipts),
    stanzas: buildStanzas(false),
    stanzaLists: buildStanzas(true),
  };
}

function buildReceipts({ messages, isList }: Submission): object {
  const answers = messages.map(({ id, from, to }) => ({
    to: to.toString(),
    answer: buildAccepted({ id, from, to, mode: 'plain', confirmed: 'server' }),
  }));
  const [single] = answers;
  const answer = isList || single === undefined ? buildResults(answers) : single.answer;
  return JSON.parse(answer.body);
}

/** The answer to a list in which one message bounced. */
export function buildPartialAnswer(localpart: string): object {
  const from = createJid(localpart, 'example.org');
  const receipt = {
    id: sampleId,
    from,
    to: parseJid(bob),
    mode: 'plain',
    confirmed: 'server',
  } as const;
  const { example } = problems.bounced;
  const bounce = new GatewayError('bounced', example.detail, {
    stanzaError: { condition: example.condition, type: example.error_type, text: undefined },
  });
  const answer = buildResults([
    { to: bob, answer: buildAccepted(receipt) },
    { to: 'nobody@example.org', answer: buildRefusal(bounce, sampleId) },
  ]);
  return JSON.parse(answer.body);
}

type ReadExample = readonly [name: string, summary: string, submission: Submission];

function readExamples(localpart: string): ReadExample[] {
  const own = { ...context, from: createJid(localpart, 'example.org') };
  return Object.entries(messageExamples).flatMap(([type, examples]) =>
    Object.entries<MessageExample>(examples).map(
      ([name, { summary, value }]): ReadExample => [name, summary, readExample(type, value, own)],
    ),
  );
}

function readExample(type: string, value: object | string, own: MessageContext): Submission {
  if (typeof value !== 'string') return readSubmission(value, own);
  return type === 'text/plain'
    ? readSubmission({ to: bob, body: value }, own)
    : { messages: [parseMessageFromXml(value, own)], isList: false, isTypeOpen: false };
}

function mapExamples(
  examples: readonly ReadExample[],
  build: (submission: Submission) => object | string,
): Record<string, MessageExample> {
  return Object.fromEntries(
    examples.map(([name, summary, submission]) => [name, { summary, value: build(submission) }]),
  );
}
