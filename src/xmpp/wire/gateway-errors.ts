import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { bareOf, type Jid } from '../../core/jid/jid.ts';
import {
  describeBounce,
  isSenderRefusal,
  isSenderUnknown,
  readStanzaError,
} from '../../core/message/stanza-error.ts';

/** Nothing was written, so the caller may safely send the message again. */
export function unavailable(reason: string): GatewayError {
  return new GatewayError(
    'xmpp-unavailable',
    `Nothing was sent: ${reason}. Send the message again later.`,
    { retryAfterSeconds: 2 },
  );
}

/** Nothing was written, because a cap is reached. `reason` is part of a sentence. */
export function overloaded(reason = 'too many messages are in flight'): GatewayError {
  return new GatewayError(
    'overloaded',
    `Nothing was sent: ${reason}. Send the message again later.`,
    { retryAfterSeconds: 1 },
  );
}

/** The message was written, and its fate will not be known. */
export function unknown(reason: string): GatewayError {
  return new GatewayError(
    'delivery-unknown',
    `The message was written, but its fate is unknown: ${reason}. It may have arrived.`,
  );
}

/** What a refusal says about its message. */
interface SentMessage {
  readonly from: Jid | string;
  readonly to: Jid | string;
  readonly isGroupchat: boolean;
}

const notAnAccount =
  '. The name after messages/ in the URL is that of an XMPP user, not of the API account.';

/** Reads a bounce that may come from our own server, whose module refuses senders. */
export function readOwnBounce(stanza: Element, message: SentMessage): GatewayError {
  if (!isSenderRefusal(stanza)) return readBounce(stanza, message);
  const { text, condition } = readStanzaError(stanza);
  const hint = isSenderUnknown(stanza) ? notAnAccount : '';
  return new GatewayError(
    'sender-refused',
    `The XMPP server refused the sender: ${text ?? condition}${hint}`,
  );
}

/**
 * Reads a bounce of a message that our own server has processed, and so its module has accepted: a
 * refusal of the sender in it was put there by somebody else.
 */
export function readBounce(stanza: Element, { from, to, isGroupchat }: SentMessage): GatewayError {
  const stanzaError = readStanzaError(stanza);
  const message = { from: bareOf(from.toString()), to: to.toString(), isForRoom: isGroupchat };
  return new GatewayError('bounced', describeBounce(stanzaError, message), { stanzaError });
}

/**
 * The XMPP server did not say whether a password is right. Callers see `detail`, a sentence. Addresses
 * and the errors of libraries belong in `cause`, which only the log shows.
 */
export function authenticationUnavailable(detail: string, cause?: unknown): GatewayError {
  return new GatewayError('authentication-unavailable', detail, { cause });
}
