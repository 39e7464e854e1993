import { GatewayError } from '../../core/errors.ts';

/**
 * The XMPP server did not say whether a password is right. Callers see `detail`, a sentence; only
 * the log sees `cause`, where addresses and the errors of libraries belong.
 */
export function authenticationUnavailable(detail: string, cause?: unknown): GatewayError {
  return new GatewayError('authentication-unavailable', detail, { cause });
}
