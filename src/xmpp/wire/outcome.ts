import { GatewayError } from '../../core/errors.ts';

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
