import { defaultLimits } from '../../src/config/config.ts';
import { createJid } from '../../src/core/jid/jid.ts';
import { readMessageFromJson } from '../../src/core/message/from-json.ts';
import { parseMessageFromXml } from '../../src/core/message/from-xml.ts';
import { type Message, serializeMessage } from '../../src/core/message/message.ts';

/** A message that can be sent as it is; the example of its answer has the same name. */
interface MessageExample {
  readonly summary: string;
  /** A JSON value, or XML. */
  readonly value: object | string;
}

/** Request bodies, by media type and name. */
export const messageExamples = {
  'application/json': {
    short: {
      summary: 'A chat message',
      value: { to: 'bob@example.org', body: 'Disk 93 % full' },
    },
    subject: {
      summary: 'With an id of the caller and a subject',
      value: {
        to: 'bob@example.org',
        message_attributes: { id: '1234' },
        body: 'Hello, this is a test message.',
        extra_elements: '<subject>This is a message subject</subject>',
      },
    },
    headline: {
      summary: 'A headline in German, with a link (XEP-0066)',
      value: {
        to: 'bob@example.org',
        message_attributes: { id: 'deploy-17', type: 'headline' },
        body: 'Version 17 läuft.',
        body_attributes: { 'xml:lang': 'de' },
        extra_elements: '<x xmlns="jabber:x:oob"><url>https://ci.example.org/17</url></x>',
      },
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
} {
  const messages = readExamples(localpart);
  return {
    receipts: mapExamples(messages, ({ id, from, to }) => ({
      status: 'success',
      message: 'The XMPP server accepted the message.',
      id,
      from: from.toString(),
      to: to.toString(),
      mode: 'plain',
      confirmed: 'server',
    })),
    stanzas: mapExamples(messages, (message) => serializeMessage(message, context.limits).xml),
  };
}

type ReadExample = readonly [name: string, summary: string, message: Message];

function readExamples(localpart: string): ReadExample[] {
  const sent = { ...context, from: createJid(localpart, 'example.org') };
  const { 'application/json': json, 'application/xml': xml } = messageExamples;
  return [
    ...Object.entries(json).map(
      ([name, { summary, value }]): ReadExample => [
        name,
        summary,
        readMessageFromJson(value, sent),
      ],
    ),
    ...Object.entries(xml).map(
      ([name, { summary, value }]): ReadExample => [
        name,
        summary,
        parseMessageFromXml(value, sent),
      ],
    ),
  ];
}

function mapExamples(
  examples: readonly ReadExample[],
  build: (message: Message) => object | string,
): Record<string, MessageExample> {
  return Object.fromEntries(
    examples.map(([name, summary, message]) => [name, { summary, value: build(message) }]),
  );
}
