import { describeError } from '../../core/text.ts';

/**
 * Why a component stream ended or never became usable. `unreachable`, `unanswered` and `probe-lost`
 * may go away by themselves, and after `module-gone` messages can be sent in another mode. All other
 * kinds need an operator.
 */
export interface StreamFailure {
  readonly kind:
    | 'unreachable'
    | 'unanswered'
    | 'probe-lost'
    | 'module-gone'
    | 'not-authorized'
    | 'host-unknown'
    | 'conflict'
    | 'untrusted'
    | 'not-hosted'
    | 'mode-unavailable';
  /** Part of a sentence. */
  readonly reason: string;
  /** The served domain that it is about, for the kinds that concern one domain. */
  readonly domain?: string;
  /** The condition of the stream error (RFC 6120 §4.9.3), if the server sent one. */
  readonly condition?: string;
}

/** The server cannot be reached, or the connection was lost. */
export function unreachable(reason: string): StreamFailure {
  return { kind: 'unreachable', reason };
}

/** The server has answered that it does not host the domain. */
export function notHosted(domain: string): StreamFailure {
  return {
    kind: 'not-hosted',
    domain,
    reason: `the domain ${domain} answered a ping with an error: the XMPP server does not host it`,
  };
}

/** The server's module answered for the domain earlier on this stream, and has stopped. */
export function moduleGone(domain: string): StreamFailure {
  return {
    kind: 'module-gone',
    domain,
    reason: `mod_message_gateway does not answer any more for ${domain}: it was unloaded on the XMPP server`,
  };
}

/** Reads a stream error (RFC 6120 §4.9) or a socket error. */
export function readStreamFailure(error: unknown): StreamFailure {
  const condition = readCondition(error);
  switch (condition) {
    case 'not-authorized':
      return {
        kind: 'not-authorized',
        reason:
          'the XMPP server refused component.secret, or, if it is ejabberd, does not know component.domain',
      };
    case 'host-unknown':
      return { kind: 'host-unknown', reason: 'the XMPP server does not know component.domain' };
    case 'conflict':
      return {
        kind: 'conflict',
        reason: 'the XMPP server already has a connection for component.domain',
      };
    case 'invalid-from':
      return {
        kind: 'untrusted',
        reason: 'the XMPP server does not let the component send from addresses of its users',
      };
    case undefined:
      return unreachable(describeError(error));
    default:
      return { ...unreachable(describeError(error)), condition };
  }
}

function readCondition(error: unknown): string | undefined {
  if (!(error instanceof Error && 'condition' in error)) return undefined;
  return typeof error.condition === 'string' ? error.condition : undefined;
}
