/** How a problem is told over HTTP, and whether the caller may send the same request again. */
interface Problem {
  readonly status: number;
  readonly title: string;
  readonly retry: string;
}

/**
 * Every refusal a caller can meet: code → status and words. `bounced` has the status of its
 * stanza error instead (message/stanza-error.ts).
 */
export const problems = {
  'malformed-body': {
    status: 400,
    title: 'The body is not well-formed.',
    retry: 'No: the same body will be refused again.',
  },
  unauthenticated: {
    status: 401,
    title: 'Valid credentials are required.',
    retry: 'No: only with other credentials.',
  },
  'permission-missing': {
    status: 403,
    title: 'The user lacks the xmppgateway permission.',
    retry: 'No: an operator has to grant the permission first.',
  },
  'domain-not-allowed': {
    status: 403,
    title: 'The API account may not send for this domain.',
    retry: 'No: an operator has to extend the account first.',
  },
  'sender-not-allowed': {
    status: 403,
    title: 'The API account may not send as this user.',
    retry: 'No: an operator has to extend the account first.',
  },
  'sender-refused': {
    status: 403,
    title: 'The XMPP server does not let the gateway send as this user.',
    retry: 'No: an operator of the XMPP server has to allow it first.',
  },
  'management-not-allowed': {
    status: 403,
    title: 'Permissions may not be changed this way.',
    retry: 'No: an operator has to allow it first.',
  },
  'unknown-domain': {
    status: 404,
    title: 'This gateway does not serve the domain.',
    retry: 'No: use a domain that the gateway is configured for.',
  },
  'not-found': {
    status: 404,
    title: 'There is nothing at this URL.',
    retry: 'No: correct the URL.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The URL does not have this method.',
    retry: 'No: use a method that the Allow header names.',
  },
  'idempotency-in-progress': {
    status: 409,
    title: 'A request with this Idempotency-Key is being answered.',
    retry: 'Yes, with the same key: it gets the answer of the first one.',
  },
  'granted-in-configuration': {
    status: 409,
    title: 'The permission was not granted over HTTP, and cannot be revoked there.',
    retry: 'No: an operator has to revoke it where it stands.',
  },
  'too-large': {
    status: 413,
    title: 'The body or the stanza is too large.',
    retry: 'No: send a smaller message.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The media type, charset or encoding of the body is not supported.',
    retry: 'No: send application/json or application/xml in UTF-8, not compressed.',
  },
  'invalid-message': {
    status: 422,
    title: 'The body is not a message that the gateway may send.',
    retry: 'No: correct what the errors point at.',
  },
  'idempotency-mismatch': {
    status: 422,
    title: 'The Idempotency-Key was used for another payload.',
    retry: 'No: a new message needs a new key.',
  },
  'too-many-requests': {
    status: 429,
    title: 'Too many failed logins.',
    retry: 'Yes, after the seconds that Retry-After names.',
  },
  bounced: {
    status: 502,
    title: 'The XMPP server returned the message with an error.',
    retry:
      'It depends on error_type: wait means later, modify and auth mean with changes, cancel means no.',
  },
  internal: {
    status: 500,
    title: 'The gateway failed.',
    retry:
      'The message may or may not have been sent; tell the operator the instance of this problem.',
  },
  'xmpp-unavailable': {
    status: 503,
    title: 'The XMPP server is not reachable.',
    retry: 'Yes, safely: nothing was sent.',
  },
  'authentication-unavailable': {
    status: 503,
    title: 'The XMPP server could not check the password.',
    retry: 'Yes, safely: nothing was sent.',
  },
  overloaded: {
    status: 503,
    title: 'Too many messages are in flight.',
    retry: 'Yes, safely: nothing was sent.',
  },
  'store-unavailable': {
    status: 503,
    title: 'The gateway cannot read or write what it keeps.',
    retry: 'Yes, safely, with the same key: nothing was sent or changed.',
  },
  'delivery-unknown': {
    status: 504,
    title: 'The message was sent, but the XMPP server did not confirm it.',
    retry: 'It may duplicate: the message may have arrived.',
  },
} as const satisfies Record<string, Problem>;

/** The stable name of a refusal. */
export type ProblemCode = keyof typeof problems;

/** One fault in a body: where (RFC 6901 pointer, or `/message/@to` style for XML) and what is wrong. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** The stanza error that a message came back with (RFC 6120 §8.3). */
export interface StanzaError {
  readonly condition: string;
  readonly type: string | undefined;
  readonly text: string | undefined;
}

/** What accompanies a refusal besides its code and detail. */
export interface GatewayErrorOptions {
  readonly errors?: readonly Fault[];
  readonly retryAfterSeconds?: number;
  /** The methods that the URL has, for 405. */
  readonly allow?: readonly string[];
  /** The realm to authenticate for (401). */
  readonly realm?: string;
  readonly stanzaError?: StanzaError;
  readonly cause?: unknown;
}

/** A refusal that the caller may learn. Any other error is a bug and is told as `internal`. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ProblemCode;
  readonly options: GatewayErrorOptions;

  /** `detail` is a sentence for the caller: what is wrong, what was expected, the way out. */
  constructor(code: ProblemCode, detail: string, options: GatewayErrorOptions = {}) {
    super(detail, { cause: options.cause });
    this.code = code;
    this.options = options;
  }
}

/** Refuses a message for one fault. */
export function invalidMessage(pointer: string, detail: string): GatewayError {
  return new GatewayError('invalid-message', detail, { errors: [{ pointer, detail }] });
}
