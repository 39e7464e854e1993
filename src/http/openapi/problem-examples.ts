import type { ProblemCode } from '../../core/errors.ts';
import { sampleId } from './message-examples.ts';

/** What a problem says beyond what its code does. */
export interface ProblemExample {
  readonly detail: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  readonly condition?: string;
  readonly error_type?: string;
  readonly text?: string;
}

/** One example of each problem. */
export type ProblemExamples = Readonly<Record<ProblemCode, ProblemExample>>;

/** The examples in the words of the gateway on the message URLs, where these have the problem. */
export function buildProblemExamples(limits: { readonly bodyBytes: number }): ProblemExamples {
  return {
    ...examples,
    'too-large': { detail: `Expected a body of at most ${limits.bodyBytes} bytes, got more.` },
  };
}

/** The `instance` of the examples. */
export const sampleInstance = `urn:uuid:${sampleId}`;

const wrongType = 'Expected a string, got a number.';

const examples = {
  'malformed-body': { detail: 'The body is not JSON: it ends too early.' },
  unauthenticated: {
    detail:
      'Log in with HTTP Basic authentication and credentials that are right for this domain: those of an API account at …/messages/<username>, those of an XMPP user at …/messages.',
  },
  'permission-missing': {
    detail: 'carol@example.org needs the xmppgateway permission: an operator can grant it.',
  },
  'domain-not-allowed': { detail: 'The API account "alerts" may not send for example.net.' },
  'sender-not-allowed': { detail: 'The API account "alerts" may not send as "mallory".' },
  'sender-refused': {
    detail:
      'The XMPP server refused the sender: This server does not let the gateway speak for the sender',
  },
  'management-not-allowed': { detail: 'The API account "reports" lacks manage: true.' },
  'unknown-domain': {
    detail: 'Expected one of the domains that the gateway is configured for as <fqdn>.',
  },
  'not-found': {
    detail:
      'Expected /api/1.0/xmppdomains/<fqdn>/gateway/messages or the same with /<username>: exactly so, percent-encoded UTF-8, and <username> a localpart (RFC 7622 §3.3).',
  },
  'method-not-allowed': { detail: 'Expected POST, got GET.' },
  'idempotency-in-progress': {
    detail:
      'A request with this Idempotency-Key is being answered. Send it again to get that answer.',
  },
  'granted-in-configuration': {
    detail:
      'bot@example.org has the permission by "bot@example.org" in permissions.xmppgateway of the configuration, and it has to be revoked there.',
  },
  'unsupported-media-type': {
    detail:
      'Content-Type "text/plain" is not supported. Send application/json, application/xml, text/xml, application/xmpp+xml, in UTF-8.',
  },
  'invalid-message': {
    detail: wrongType,
    errors: [{ pointer: '/body', detail: wrongType }],
  },
  'idempotency-mismatch': {
    detail:
      'This Idempotency-Key was sent before with another payload. Send a new key for a new message.',
  },
  'too-many-requests': { detail: 'Too many failed logins of this user: try again in 60 s.' },
  bounced: {
    detail: 'The XMPP server returned the message with service-unavailable.',
    condition: 'service-unavailable',
    error_type: 'cancel',
  },
  internal: { detail: 'A fault of the gateway; its log knows more under this instance.' },
  'xmpp-unavailable': {
    detail: 'Nothing was sent: the component stream is down. Send the message again later.',
  },
  'authentication-unavailable': {
    detail: 'The XMPP server cannot be reached.',
  },
  overloaded: {
    detail: 'Nothing was sent: too many messages are in flight. Send the message again later.',
  },
  'store-unavailable': {
    detail:
      'Nothing was sent: the store of the Idempotency-Keys cannot be reached. Send the message again later, with the same key.',
  },
  'delivery-unknown': {
    detail:
      'The message was written, but its fate is unknown: no confirmation within 30000 ms. It may have arrived.',
  },
} as const satisfies Record<Exclude<ProblemCode, 'too-large'>, ProblemExample>;
