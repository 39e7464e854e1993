import type { Element } from 'ltx';
import type { StanzaError } from '../errors.ts';
import { moduleNamespace } from './mode.ts';

const stanzasNamespace = 'urn:ietf:params:xml:ns:xmpp-stanzas';

const statusByCondition = new Map<string, number>([
  ['item-not-found', 404],
  ['service-unavailable', 404],
  ['recipient-unavailable', 404],
  ['gone', 404],
  ['forbidden', 403],
  ['not-allowed', 403],
  ['not-authorized', 403],
  ['policy-violation', 403],
  ['registration-required', 403],
  ['subscription-required', 403],
  ['jid-malformed', 422],
  ['bad-request', 422],
  ['not-acceptable', 422],
  ['remote-server-not-found', 502],
  ['remote-server-timeout', 504],
  ['resource-constraint', 503],
]);

const statusByType = new Map<string | undefined, number>([
  ['wait', 503],
  ['auth', 403],
  ['modify', 422],
]);

const otherStatus = 502;

/** Every status that a bounce can have, in ascending order. */
export const bounceStatuses: readonly number[] = [
  ...new Set([...statusByCondition.values(), ...statusByType.values(), otherStatus]),
].toSorted((a, b) => a - b);

/** Returns the HTTP status for a bounce, by its condition or else by its type (RFC 6120 §8.3). */
export function bounceStatus(error: StanzaError): number {
  return statusByCondition.get(error.condition) ?? statusByType.get(error.type) ?? otherStatus;
}

/** Whether the server's module refuses the sender, regardless of the recipient. */
export function isSenderRefusal(stanza: Element): boolean {
  return findError(stanza)?.getChild('sender-refused', moduleNamespace) !== undefined;
}

/** Reads the `<error/>` of a stanza of type error (RFC 6120 §8.3.2). */
export function readStanzaError(stanza: Element): StanzaError {
  const error = findError(stanza);
  const children = error?.getChildElements() ?? [];
  const defined = children.filter((child) => child.getNS() === stanzasNamespace);
  return {
    condition:
      defined.find((child) => child.getName() !== 'text')?.getName() ?? 'undefined-condition',
    type: error?.attrs['type'],
    text: defined.find((child) => child.getName() === 'text')?.getText() || undefined,
  };
}

/** Takes the last one: a server may echo the message before it, with an `<error/>` that the sender put in. */
function findError(stanza: Element): Element | undefined {
  return stanza.getChildren('error').at(-1);
}
