import { bounceStatuses } from '../../src/core/message/stanza-error.ts';

const text = { type: 'string' };

/** The headers that the document describes, by name. */
export const headers = {
  CacheControl: {
    description: 'Caches must not keep the answer.',
    required: true,
    schema: { type: 'string', const: 'no-store' },
  },
  RetryAfter: {
    description: 'After how many seconds to try again.',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
  WwwAuthenticate: {
    description: 'RFC 7617, with the domain as the realm.',
    required: true,
    schema: text,
    example: 'Basic realm="example.org", charset="UTF-8"',
  },
  Allow: { description: 'The methods that the URL has.', required: true, schema: text },
  IdempotencyReplayed: {
    description: 'The request was answered before; this is the same answer again.',
    schema: { type: 'string', const: 'true' },
  },
  PreferenceApplied: {
    description:
      'RFC 7240: the gateway asked for a receipt of the recipient’s client, and waited for it for at most this number of seconds. Missing if that was not possible.',
    schema: { type: 'string', pattern: '^wait=[0-9]+$' },
    example: 'wait=20',
  },
} as const;

const byStatus: ReadonlyMap<number, Readonly<Record<string, keyof typeof headers>>> = new Map([
  [401, { 'WWW-Authenticate': 'WwwAuthenticate' }],
  [405, { Allow: 'Allow' }],
  [429, { 'Retry-After': 'RetryAfter' }],
  [503, { 'Retry-After': 'RetryAfter' }],
]);

/** References to the headers of an answer with this status. */
export function headersOf(status: number, isMessageUrl: boolean): Record<string, object> {
  // The gateway only keeps the answers to messages that were sent: receipts, and bounces that the
  // caller has to act on.
  const isSent = status === 200 || (status < 500 && bounceStatuses.includes(status));
  const isKept = isMessageUrl && isSent;
  return {
    'Cache-Control': reference('CacheControl'),
    ...Object.fromEntries(
      Object.entries(byStatus.get(status) ?? {}).map(([name, key]) => [name, reference(key)]),
    ),
    ...(isKept ? { 'Idempotency-Replayed': reference('IdempotencyReplayed') } : {}),
    ...(isMessageUrl && (status === 200 || status === 207)
      ? { 'Preference-Applied': reference('PreferenceApplied') }
      : {}),
  };
}

function reference(name: keyof typeof headers): object {
  return { $ref: `#/components/headers/${name}` };
}
