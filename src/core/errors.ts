/** What is the same in every refusal with one code. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  /** Whether the caller may send the same request again. */
  readonly retry: string;
  /** The usual causes and their cure, in sentences; docs/troubleshooting.md has more. */
  readonly causes: string;
  /** The operations that can answer with it. */
  readonly at: readonly ProblemPlace[];
  /** For the OpenAPI document, in the words of the message URLs if they can answer with it. */
  readonly example: ProblemExample;
}

/**
 * An operation, or several that answer with the same problems: the two message URLs, the permissions
 * of a user (read or changed), a page, and a page whose URL ends in a name.
 */
export type ProblemPlace = 'user' | 'api' | 'acl' | 'acl-change' | 'page' | 'named-page';

/** The members of a problem that differ from one refusal to the next. */
export interface ProblemExample {
  /** `{{name}}` means the limit of that name. */
  readonly detail: string;
  readonly errors?: readonly Fault[];
  readonly condition?: string;
  readonly error_type?: string;
}

const messages = ['user', 'api'] as const;
const acl = ['acl', 'acl-change'] as const;
const withBody = [...messages, 'acl-change'] as const;
const withLogin = [...messages, ...acl] as const;
const everywhere = [...withLogin, 'page', 'named-page'] as const;

/**
 * Every refusal that a caller can meet, by its code. The status of `bounced` depends on the stanza
 * error (message/stanza-error.ts).
 */
export const problems = {
  'malformed-body': {
    status: 400,
    title: 'The body is not well-formed.',
    retry: 'No: the same body will be refused again.',
    causes:
      'detail has the place where the body breaks, and what to write there. In JSON a line break in a string is \\n; in XML & is &amp; and < is &lt;.',
    at: withBody,
    example: {
      detail:
        'The body is not JSON: line 1, column 38: a line break in a string: write \\n, or the " before it is missing.',
    },
  },
  unauthenticated: {
    status: 401,
    title: 'Valid credentials are required.',
    retry: 'No: only with other credentials.',
    causes:
      'User name or password are wrong, or belong to another kind of account: API accounts work only at the URL with a user name after /messages/, XMPP users only at the one without. Credentials have to be sent in UTF-8. After a change in api_accounts the gateway needs a SIGHUP.',
    at: withLogin,
    example: {
      detail:
        'The user name or the password is missing or wrong, or the URL is that of the other kind of account. Log in with HTTP Basic authentication and credentials that are right for this domain: those of an API account at …/messages/<username>, those of an XMPP user at …/messages.',
    },
  },
  'permission-missing': {
    status: 403,
    title: 'The user lacks the xmppgateway permission.',
    retry: 'No: an operator has to grant the permission first.',
    causes:
      'The password is right, but the user may not send. An operator grants the permission with the command `xmpp-message-gateway grant JID --config FILE`, or adds the user to permissions.xmppgateway in the configuration.',
    at: ['user'],
    example: {
      detail:
        'carol@example.org needs the xmppgateway permission: an operator can grant it, with xmpp-message-gateway grant carol@example.org --config FILE, or in permissions.xmppgateway.',
    },
  },
  'domain-not-allowed': {
    status: 403,
    title: 'The API account may not send for this domain.',
    retry: 'No: an operator has to extend the account first.',
    causes: 'The domain in the URL is not in the domains of this API account in the configuration.',
    at: ['api', ...acl],
    example: { detail: 'The API account "alerts" may not send for example.net.' },
  },
  'sender-not-allowed': {
    status: 403,
    title: 'The API account may not send as this user.',
    retry: 'No: an operator has to extend the account first.',
    causes:
      'The user in the URL matches none of the senders of this API account in the configuration.',
    at: ['api', ...acl],
    example: { detail: 'The API account "alerts" may not send as "mallory".' },
  },
  'cross-origin': {
    status: 403,
    title: 'A page of another site may not send forms or plain text.',
    retry: 'No: send application/json, or send from a program.',
    causes:
      'The browser says that the request was made by a page of another site, which could make every visitor of that page send messages.',
    at: messages,
    example: {
      detail:
        'A page of another site may not send forms or plain text here. Send application/json, or send from a program.',
    },
  },
  'sender-refused': {
    status: 403,
    title: 'The XMPP server does not let the gateway send as this user.',
    retry: 'No: an operator of the XMPP server has to allow it first.',
    causes:
      'In mode client the sender must exist on the XMPP server, and the module there must not be configured to refuse it.',
    at: messages,
    example: {
      detail:
        'The XMPP server refused the sender: This server does not let the gateway speak for the sender',
    },
  },
  'management-not-allowed': {
    status: 403,
    title: 'Permissions may not be changed this way.',
    retry: 'No: an operator has to allow it first.',
    causes: 'The API account needs manage: true, and the gateway a permissions.state_file.',
    at: acl,
    example: { detail: 'The API account "reports" lacks manage: true.' },
  },
  'unknown-domain': {
    status: 404,
    title: 'This gateway does not serve the domain.',
    retry: 'No: use a domain that the gateway is configured for.',
    causes: 'The domain in the URL is misspelled, or missing in domains of the configuration.',
    at: withLogin,
    example: {
      detail: 'Expected one of the domains that the gateway is configured for as <fqdn>.',
    },
  },
  'not-found': {
    status: 404,
    title: 'There is nothing at this URL.',
    retry: 'No: correct the URL.',
    causes:
      'The path has to be exact: no slash at the end, the same upper and lower case, /gateway/ before /messages. A proxy may have changed it, or the user name in it cannot be one.',
    at: [...withLogin, 'named-page'],
    example: {
      detail:
        'Expected /api/1.0/xmppdomains/<fqdn>/gateway/messages or the same with /<username>: exactly so, percent-encoded UTF-8.',
    },
  },
  'method-not-allowed': {
    status: 405,
    title: 'The URL does not have this method.',
    retry: 'No: use a method that the Allow header names.',
    causes: 'Messages are sent with POST.',
    at: everywhere,
    example: { detail: 'Expected POST, got GET.' },
  },
  'idempotency-in-progress': {
    status: 409,
    title: 'A request with this Idempotency-Key is being answered.',
    retry: 'Yes, with the same key: it gets the answer of the first one.',
    causes: 'The first request with this key has no answer yet.',
    at: messages,
    example: {
      detail:
        'A request with this Idempotency-Key is being answered. Send it again to get that answer.',
    },
  },
  'granted-in-configuration': {
    status: 409,
    title: 'The permission was not granted over HTTP, and cannot be revoked there.',
    retry: 'No: an operator has to revoke it where it was granted.',
    causes:
      'The user is in permissions.xmppgateway of the configuration, or a pattern there or a wider grant covers it.',
    at: ['acl-change'],
    example: {
      detail:
        'bot@example.org has the permission by "bot@example.org" in permissions.xmppgateway of the configuration, and it has to be revoked there.',
    },
  },
  'too-large': {
    status: 413,
    title: 'The body or the stanza is too large.',
    retry: 'No: send a smaller message.',
    causes:
      'The message is larger than a limit of the gateway, or than one that the XMPP server has shown by closing its stream. Many elements, attributes and long namespace names count as well.',
    at: withBody,
    example: { detail: 'Expected a body of at most {{bodyBytes}} bytes, got more.' },
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The media type, charset or encoding of the body is not supported.',
    retry: 'No: send JSON, a form, plain text or XML in UTF-8, not compressed.',
    causes:
      'The Content-Type is missing or names another format: with curl, use --json, or -H to set it.',
    at: withBody,
    example: {
      detail:
        'Content-Type "text/html" is not supported. Send application/json, application/x-www-form-urlencoded, application/x-ndjson, application/jsonl, text/plain, application/xml, text/xml, application/xmpp+xml, in UTF-8.',
    },
  },
  'invalid-message': {
    status: 422,
    title: 'The body is not a message that the gateway may send.',
    retry: 'No: correct what the errors point at.',
    causes: 'errors has every fault with its place.',
    at: withLogin,
    example: {
      detail: '/body: Expected a string, got a number.',
      errors: [{ pointer: '/body', detail: 'Expected a string, got a number.' }],
    },
  },
  'idempotency-mismatch': {
    status: 422,
    title: 'The Idempotency-Key was used for another payload.',
    retry: 'No: a new message needs a new key.',
    causes: 'A key belongs to one message: make a new one for each.',
    at: messages,
    example: {
      detail:
        'This Idempotency-Key was sent before with another payload. Send a new key for a new message.',
    },
  },
  'too-many-requests': {
    status: 429,
    title: 'Too many failed logins.',
    retry: 'Yes, after the seconds that Retry-After names.',
    causes:
      'The password was wrong too often, for this user or from this address. Behind a proxy that is not in http.trusted_proxies, all clients share its address.',
    at: withLogin,
    example: { detail: 'Too many failed logins of this user: try again in 60 s.' },
  },
  bounced: {
    status: 502,
    title: 'The XMPP server returned the message with an error.',
    retry:
      'It depends on error_type: wait means later, modify and auth mean with changes, cancel means no.',
    causes:
      'The recipient, its server or the room has refused the message. detail says why, and condition has the name of the reason. The reasons are:',
    at: messages,
    example: {
      detail:
        'nobody@example.org cannot be reached: it does not exist, is offline and keeps no messages, or does not accept messages from this sender. If it is a room, send with the type groupchat.',
      condition: 'service-unavailable',
      error_type: 'cancel',
    },
  },
  internal: {
    status: 500,
    title: 'The gateway failed.',
    retry:
      'The message may or may not have been sent; tell the operator the instance of this problem.',
    causes: 'This is a fault of the gateway.',
    at: everywhere,
    example: { detail: 'A fault of the gateway; its log has the details under this instance.' },
  },
  'xmpp-unavailable': {
    status: 503,
    title: 'The XMPP server is not reachable.',
    retry: 'Yes, safely: nothing was sent.',
    causes:
      'The connection to the XMPP server is down or being opened. /readyz and the log say why.',
    at: messages,
    example: {
      detail: 'Nothing was sent: the component stream is down. Send the message again later.',
    },
  },
  'authentication-unavailable': {
    status: 503,
    title: 'The XMPP server could not check the password.',
    retry: 'Yes, safely: nothing was sent.',
    causes:
      'The XMPP server could not say whether the password is right: it cannot be reached, its certificate does not fit, or it offers no way to log in that the gateway knows. The log has the reason, and the command check the cure.',
    at: messages,
    example: {
      detail: 'The XMPP server cannot be reached.',
    },
  },
  overloaded: {
    status: 503,
    title: 'Too many messages are in flight.',
    retry: 'Yes, safely: nothing was sent.',
    causes:
      'More is under way than the gateway takes on: send fewer messages at a time. The XMPP server may be slow.',
    at: withLogin,
    example: {
      detail: 'Nothing was sent: too many messages are in flight. Send the message again later.',
    },
  },
  'store-unavailable': {
    status: 503,
    title: 'The gateway cannot read or write what it keeps.',
    retry: 'Yes, safely, with the same key: nothing was sent or changed.',
    causes:
      'The Redis with the Idempotency-Keys cannot be reached, or the file of the permissions cannot be written.',
    at: [...messages, 'acl-change'],
    example: {
      detail:
        'Nothing was sent: the store of the Idempotency-Keys cannot be reached. Send the message again later, with the same key.',
    },
  },
  'delivery-unknown': {
    status: 504,
    title: 'The message was sent, but the XMPP server did not confirm it.',
    retry: 'It may duplicate: the message may have arrived.',
    causes:
      'The connection broke, or the XMPP server was silent for too long, after the message was sent. With an Idempotency-Key, clients can drop the duplicate.',
    at: messages,
    example: {
      detail:
        'The message was written, but its fate is unknown: no confirmation within 30000 ms. It may have arrived.',
    },
  },
} as const satisfies Record<string, Problem>;

/** The stable name of a refusal. */
export type ProblemCode = keyof typeof problems;

/** All codes, in the order of the table. */
export const problemCodes: readonly ProblemCode[] = Object.keys(problems).filter(isProblemCode);

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problems, code);
}

/** One fault in a body: where it is (an RFC 6901 pointer; for XML like `/message/@to`) and what is wrong. */
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

/** The optional parts of a refusal. */
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

/** A refusal that the caller may see. Any other error is a bug and is answered as `internal`. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ProblemCode;
  readonly options: GatewayErrorOptions;

  /** `detail` is a sentence for the caller: what is wrong, what was expected, and what to do. */
  constructor(code: ProblemCode, detail: string, options: GatewayErrorOptions = {}) {
    super(detail, { cause: options.cause });
    this.code = code;
    this.options = options;
  }
}

/** Describes a fault in one line, with its place. */
export function describeFault({ pointer, detail }: Fault): string {
  return pointer === '' ? detail : `${pointer}: ${detail}`;
}

/** A refusal of a message that has one fault. */
export function invalidMessage(pointer: string, detail: string): GatewayError {
  const fault = { pointer, detail };
  return new GatewayError('invalid-message', describeFault(fault), { errors: [fault] });
}
