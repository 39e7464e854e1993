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
  dryRun: {
    name: 'dry_run',
    in: 'query',
    description:
      '`true`: check everything and answer with the stanza as it would be sent now, but send nothing; this works also while the XMPP server is down. `false` means nothing.',
    schema: { type: 'string', enum: ['true', 'false'] },
  },
  format: {
    name: 'format',
    in: 'query',
    description: 'Accepted, and means nothing.',
    schema: { type: 'string', const: 'json' },
  },
  idempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'A new one for each message, the same for each try: the first answer is kept for 24 hours and given to all later tries. 429 and 5xx are not kept.',
    schema: { type: 'string', pattern: '^[!-~]{1,257}$' },
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
