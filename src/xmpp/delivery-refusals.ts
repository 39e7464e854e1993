import { GatewayError } from '../core/errors.ts';

/** Nothing was written: sending again is safe. */
export function unavailable(reason: string): GatewayError {
  return new GatewayError(
    'xmpp-unavailable',
    `Nothing was sent: ${reason}. Send the message again later.`,
    { retryAfterSeconds: 2 },
  );
}

/** Nothing was written: too much is in flight already. */
export function overloaded(): GatewayError {
  return new GatewayError(
    'overloaded',
    'Nothing was sent: too many messages are in flight. Send the message again later.',
    { retryAfterSeconds: 1 },
  );
}

/** It was written and never confirmed: sending again may duplicate it. */
export function unknown(reason: string): GatewayError {
  return new GatewayError(
    'delivery-unknown',
    `The message was written, but its fate is unknown: ${reason}. It may have arrived.`,
  );
}
