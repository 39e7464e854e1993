import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';

/** Nothing was written: the caller may send the message again safely. */
export function unavailable(reason: string): GatewayError {
  return new GatewayError(
    'xmpp-unavailable',
    `Nothing was sent: ${reason}. Send the message again later.`,
    { retryAfterSeconds: 2 },
  );
}

/** Nothing was written, because a cap is reached; `reason` is part of a sentence. */
export function overloaded(reason = 'too many messages are in flight'): GatewayError {
  return new GatewayError(
    'overloaded',
    `Nothing was sent: ${reason}. Send the message again later.`,
    { retryAfterSeconds: 1 },
  );
}

/** The message was written, and nothing tells what became of it. */
export function unknown(reason: string): GatewayError {
  return new GatewayError(
    'delivery-unknown',
    `The message was written, but its fate is unknown: ${reason}. It may have arrived.`,
  );
}

/** The refusal that a returned message means. */
export function readBounce(stanza: Element): GatewayError {
  const stanzaError = readStanzaError(stanza);
  if (isSenderRefusal(stanza)) {
    const reason = stanzaError.text ?? stanzaError.condition;
    return new GatewayError('sender-refused', `The XMPP server refused the sender: ${reason}`);
  }
  const detail = `The XMPP server returned the message with ${stanzaError.condition}.`;
  return new GatewayError('bounced', detail, { stanzaError });
}

/**
 * The XMPP server did not say whether a password is right. Callers see `detail`, a sentence; only
 * the log sees `cause`, where addresses and the errors of libraries belong.
 */
export function authenticationUnavailable(detail: string, cause?: unknown): GatewayError {
  return new GatewayError('authentication-unavailable', detail, { cause });
}
