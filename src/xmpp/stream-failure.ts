/**
 * Why a component stream ended or never became usable. `unreachable` and `unanswered` may pass by
 * themselves; all other kinds need an operator.
 */
export interface StreamFailure {
  readonly kind:
    | 'unreachable'
    | 'unanswered'
    | 'not-authorized'
    | 'host-unknown'
    | 'conflict'
    | 'untrusted'
    | 'not-hosted'
    | 'mode-unavailable';
  /** What happened, as part of a sentence. */
  readonly reason: string;
  /** The served domain it is about, for `unanswered`, `not-hosted` and `mode-unavailable`. */
  readonly domain?: string;
}

/** The server cannot be reached, or went away. */
export function unreachable(reason: string): StreamFailure {
  return { kind: 'unreachable', reason };
}

/** What a stream error (RFC 6120 §4.9) or a socket error means for a component. */
export function readStreamFailure(error: unknown): StreamFailure {
  switch (readCondition(error)) {
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
    default:
      return unreachable(describeError(error));
  }
}

function readCondition(error: unknown): unknown {
  return error instanceof Error && 'condition' in error ? error.condition : undefined;
}

/** The words of a socket error, on one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  // The errors of a dual-stack connect have their text one level deeper.
  const inner = error instanceof AggregateError ? error.errors[0] : undefined;
  return error.message || (inner === undefined ? error.name : describeError(inner));
}
