import { messageTypes } from '../../src/core/message/message.ts';

/** The parameters of the message URLs and of the permissions, by name. */
export const parameters = {
  fqdn: {
    name: 'fqdn',
    in: 'path',
    required: true,
    description: 'One of the domains that the gateway serves.',
    schema: { type: 'string' },
    example: 'example.org',
  },
  username: {
    name: 'username',
    in: 'path',
    required: true,
    description: 'Localpart of a user of the domain (RFC 7622 §3.3).',
    schema: { type: 'string' },
    example: 'alice',
  },
  to: {
    name: 'to',
    in: 'query',
    description:
      'With `text/plain` or a template: the recipient; repeated for several. In all other requests it is in the body.',
    schema: { type: 'array', items: { type: 'string' } },
  },
  subject: {
    name: 'subject',
    in: 'query',
    description: 'With `text/plain` or a template: the subject.',
    schema: { type: 'string' },
  },
  type: {
    name: 'type',
    in: 'query',
    description: 'With `text/plain` or a template: the type of the message.',
    schema: { type: 'string', enum: messageTypes },
  },
  id: {
    name: 'id',
    in: 'query',
    description: 'With `text/plain` or a template: the id of the message.',
    schema: { type: 'string' },
  },
  template: {
    name: 'template',
    in: 'query',
    description:
      'The name of the template that turns a JSON body into the text, such as `alertmanager`.',
    schema: { type: 'string' },
  },
  dryRun: {
    name: 'dry_run',
    in: 'query',
    description:
      '`true`: check everything and answer with the stanza as it would be sent now, but send nothing; this works also while the XMPP server is down. `false` has no effect.',
    schema: { type: 'string', enum: ['true', 'false'] },
  },
  format: {
    name: 'format',
    in: 'query',
    description: 'Accepted, and has no effect.',
    schema: { type: 'string', const: 'json' },
  },
  idempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'A new one for each message, the same for each try: the first answer is kept for 24 hours and given to all later tries. 429 and 5xx are not kept.',
    schema: { type: 'string', pattern: '^[!-~]{1,257}$' },
  },
  prefer: {
    name: 'Prefer',
    in: 'header',
    description:
      'RFC 7240: `wait=SECONDS` (at most 60) asks for a receipt of the recipient’s client (XEP-0184) and waits for it. Everything else is ignored. With `application/x-ndjson` each line has its own `wait` instead.',
    schema: { type: 'string' },
    example: 'wait=20',
  },
  traceparent: {
    name: 'traceparent',
    in: 'header',
    description:
      'W3C Trace Context §3.2: its trace id is logged. One that is not valid is ignored.',
    schema: { type: 'string' },
  },
} as const;

/** A reference to one of the parameters. */
export function parameter(name: keyof typeof parameters): object {
  return { $ref: `#/components/parameters/${name}` };
}
