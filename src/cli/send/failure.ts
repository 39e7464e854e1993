import { describeError, reasonOfOpenSsl } from '../../core/text.ts';

/** There was no answer; the message says why, and what to do if another attempt does not help. */
export class PostFailure extends Error {
  override readonly name = 'PostFailure';
  /** Whether the request may have been sent. */
  readonly wasConnected: boolean;
  /** Whether another attempt may help. */
  readonly mayRetry: boolean;

  /** `protocol` is that of the URL, such as `https:`. */
  constructor(cause: unknown, protocol: string, wasConnected: boolean) {
    const mistake = wasConnected ? undefined : describeTlsMistake(cause);
    super(mistake ?? describeFailure(cause, protocol), { cause });
    this.wasConnected = wasConnected;
    this.mayRetry = mistake === undefined;
  }
}

function describeFailure(cause: unknown, protocol: string): string {
  const reason = reasonOfOpenSsl(cause) ?? describeError(cause);
  // It is all that a server for HTTPS says to plain HTTP.
  const isPerhapsTls = protocol === 'http:' && reason === 'socket hang up';
  return isPerhapsTls ? `${reason} (does it expect https?)` : reason;
}

/** The ways out for certificates where trust in another CA does not help. */
const waysOut: ReadonlyMap<string, string> = new Map([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'give a URL with a name that it is for'],
  ['CERT_HAS_EXPIRED', 'its operator has to renew it'],
  ['CERT_NOT_YET_VALID', 'check the clock'],
]);

/** Returns undefined if it is not a mistake in TLS that somebody has to correct. */
function describeTlsMistake(cause: unknown): string | undefined {
  if (reasonOfOpenSsl(cause) === 'wrong version number') {
    return 'the gateway does not speak HTTPS there: try http://';
  }
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  // Those of the protocol begin with ERR_SSL_.
  if (!/^(?!ERR_SSL_).*(?:CERT|SIGNATURE)/.test(code)) return undefined;
  // Node 24 adds advice after a semicolon.
  const reason = describeError(cause).replace(/;.*/s, '');
  const wayOut = waysOut.get(code) ?? 'name its CA in NODE_EXTRA_CA_CERTS';
  return `the certificate of the gateway is not trusted: ${reason}: ${wayOut}`;
}
