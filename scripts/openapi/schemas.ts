import { problemCodes } from '../../src/core/errors.ts';
import { maxRecipients } from '../../src/core/message/from-json.ts';
import { messageTypes } from '../../src/core/message/message.ts';
import { modes } from '../../src/core/message/mode.ts';

const scalar = { type: ['string', 'number', 'boolean'] };
const jid = { type: 'string', minLength: 1, maxLength: 3071 };

const map = { type: 'object', additionalProperties: scalar, maxProperties: '{{attributes}}' };

/** The limits that keep a message from taking much of a server's time. */
const cost =
  'The whole message may have {{elements}} elements, {{totalAttributes}} attributes and namespace declarations, and namespace names of {{namespaceBytes}} bytes (422 beyond that), and {{expandedBytes}} bytes once it is expanded (413 beyond that): each element counts 768 bytes, each attribute and each text 256 more than its names, namespace and text.';

const texts = {
  body: {
    type: 'string',
    description: 'Text of `<body/>`; an empty string gives an empty element.',
  },
  subject: { type: 'string', description: 'Text of `<subject/>`, which follows `<body/>`.' },
};

const idDescription =
  'Made up by the gateway when it is missing, another for each recipient of a list.';

const message = {
  type: 'object',
  description: `A message; its stanza may have {{stanzaBytes}} bytes. Duplicate keys and characters that XML 1.0 cannot carry are refused. ${cost}`,
  required: ['to'],
  additionalProperties: false,
  dependentRequired: { body_attributes: ['body'] },
  properties: {
    to: {
      description:
        'JID of the recipient: user, room or domain, bare or full. Or a list of them: one message each.',
      oneOf: [jid, { type: 'array', items: jid, minItems: 1, maxItems: maxRecipients }],
    },
    ...texts,
    type: {
      type: 'string',
      enum: messageTypes,
      description:
        'If it is missing: groupchat for a room of a domain that says within two seconds that it has rooms, otherwise chat.',
    },
    id: { ...scalar, minLength: 1, maxLength: 1023, description: idDescription },
    message_attributes: {
      ...map,
      description:
        'Attributes of `<message/>`. `from` is ignored: the sender is the caller, or the user in the URL. Names are valid in XML 1.0 (4th edition) and have no colon, except for `xml:lang`, `xml:space`, `xml:base` and `xml:id`. ejabberd drops those that XMPP does not define.',
      properties: {
        id: { ...scalar, minLength: 1, maxLength: 1023, description: 'As the field `id`.' },
        type: { type: 'string', enum: messageTypes, description: 'As the field `type`.' },
        to: { ...jid, description: 'The same address as in the field `to`.' },
        xmlns: { type: 'string', const: 'jabber:client' },
      },
    },
    body_attributes: {
      ...map,
      description: 'Attributes of `<body/>`, such as `xml:lang`. ejabberd drops the others.',
    },
    extra_elements: {
      type: 'string',
      description: `XML elements that are put after \`<body/>\`, nested to {{depth}} levels at most (\`<message/>\` is the first).`,
    },
  },
};

const attribute = { type: 'string', xml: { attribute: true } };

/** It has no `type`, because its examples are XML, which a JSON schema can hardly describe. */
const stanza = {
  description: `One \`<message/>\` stanza with any elements in it; without a namespace it is read as if it were in \`jabber:client\`. ${cost}`,
  xml: { name: 'message' },
  properties: {
    to: { ...attribute, examples: ['bob@example.org'] },
    id: { ...attribute, examples: ['build-4711'] },
    type: { ...attribute, enum: messageTypes },
    body: { type: 'string', examples: ['Build 4711 passed'] },
  },
};

const address = { type: 'string', description: 'As it is sent on the wire.' };

const receipt = {
  type: 'object',
  description: 'The XMPP server has processed the message. Ignore members that you do not know.',
  required: ['status', 'message', 'id', 'from', 'to', 'mode', 'confirmed'],
  properties: {
    status: { type: 'string', const: 'success', description: 'Always `success`.' },
    message: { type: 'string', description: 'A sentence for people; it may change.' },
    id: { type: 'string', description: 'The `id` of the stanza.' },
    from: address,
    to: address,
    mode: { type: 'string', enum: modes, description: 'How the message was sent for its sender.' },
    confirmed: {
      type: 'string',
      enum: ['server', 'remote', 'recipient'],
      description:
        'Who has it: at least our own server, or the recipient’s too, or a client of the recipient, which has sent a receipt.',
    },
  },
};

const results = {
  type: 'object',
  description: 'What became of the messages to a list of recipients, in order.',
  required: ['status', 'message', 'results'],
  properties: {
    status: { type: 'string', enum: ['success', 'partial'] },
    message: { type: 'string' },
    results: {
      type: 'array',
      items: {
        type: 'object',
        description: 'The members of a receipt or of a problem.',
        required: ['status', 'to'],
        additionalProperties: true,
        properties: {
          status: { type: 'integer', description: '200 for a receipt, else that of the problem.' },
          to: { type: 'string', description: 'The recipient, normalised.' },
        },
      },
    },
  },
};

const form = {
  type: 'object',
  required: ['to'],
  additionalProperties: false,
  properties: {
    to: { ...jid, description: 'JID of the recipient; repeated for several.' },
    ...texts,
    type: { type: 'string', enum: messageTypes },
    id: { type: 'string', minLength: 1, maxLength: 1023 },
  },
};

const fault = {
  type: 'object',
  required: ['pointer', 'detail'],
  properties: {
    pointer: {
      type: 'string',
      description: 'RFC 6901 for JSON; `/message/@to`, `/message/body` for XML.',
    },
    detail: { type: 'string' },
  },
};

const problem = {
  type: 'object',
  description: 'RFC 9457. Ignore members that you do not know.',
  required: ['type', 'title', 'status', 'detail', 'code', 'instance'],
  properties: {
    type: {
      type: 'string',
      format: 'uri-reference',
      description: 'Where the gateway explains the code.',
    },
    title: {
      type: 'string',
      description:
        'What is wrong, in a sentence for people; the same for all refusals with this code.',
    },
    status: { type: 'integer', description: 'The HTTP status, again.' },
    detail: { type: 'string', description: 'What is wrong with this request.' },
    code: {
      type: 'string',
      enum: problemCodes,
      description: 'What is wrong, for programs: it never changes.',
    },
    instance: {
      type: 'string',
      pattern: '^urn:uuid:[0-9a-f-]{36}$',
      description: 'The id of the request in the log.',
    },
    errors: { type: 'array', items: fault, description: 'Each fault in the body.' },
    condition: {
      type: 'string',
      description: 'Of a bounce: the defined condition (RFC 6120 §8.3.3).',
    },
    error_type: { type: 'string', description: 'Of a bounce: the type of the stanza error.' },
    text: {
      type: 'string',
      description: 'Of a bounce: what the server, room or client that returned it says about it.',
    },
  },
};

const known = { type: ['boolean', 'null'] };

const modeReport = {
  type: 'object',
  description:
    'What the XMPP server does with a domain’s messages; null means that the gateway cannot know.',
  required: ['mode', 'archive', 'carbons', 'bounces'],
  properties: {
    mode: { type: 'string', enum: modes },
    archive: { ...known, description: 'Whether the sender’s archive has the message.' },
    carbons: { ...known, description: 'Whether the sender’s other devices get a copy.' },
    bounces: {
      type: 'object',
      description: 'Whose bounces reach the gateway.',
      required: ['local', 'remote'],
      properties: { local: { type: 'boolean' }, remote: { type: 'boolean' } },
    },
  },
};

const aclValues = {
  type: 'object',
  description: 'Permissions by name.',
  required: ['xmppgateway'],
  properties: { xmppgateway: { type: 'boolean', description: 'May the user send over HTTP?' } },
};

const aclChange = {
  type: 'object',
  description: 'The permissions to set.',
  required: ['acl'],
  additionalProperties: false,
  properties: { acl: { ...aclValues, additionalProperties: false } },
};

const acl = {
  type: 'object',
  description: 'What a user may do. Ignore members that you do not know.',
  required: ['username', 'xmppDomain', 'jid', 'acl', 'aclLabels'],
  properties: {
    username: { type: 'string', description: 'The localpart, normalised.' },
    xmppDomain: { type: 'string' },
    jid: { type: 'string', description: 'The bare JID.' },
    acl: aclValues,
    aclLabels: {
      type: 'object',
      description: 'What the permissions mean, for people.',
      additionalProperties: { type: 'string' },
    },
  },
};

/** The schemas of the document (JSON Schema 2020-12), by name. */
export const schemas: Readonly<Record<string, object>> = {
  Message: message,
  Form: form,
  Stanza: stanza,
  Receipt: receipt,
  Results: results,
  Problem: problem,
  ModeReport: modeReport,
  Acl: acl,
  AclChange: aclChange,
};
