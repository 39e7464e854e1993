import type { Element } from 'ltx';
import { escapeAttribute } from '../../core/xml/serialize.ts';

/** A ping (XEP-0199). The arguments must need no escaping. */
export function buildPing(id: string, from: string, to: string): string {
  return `<iq type='get' id='${id}' from='${from}' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`;
}

/** The answer to a ping (XEP-0199 §4); undefined when the stanza is not a ping. */
export function buildPong(stanza: Element): string | undefined {
  if (!stanza.is('iq') || stanza.attrs['type'] !== 'get') return undefined;
  if (stanza.getChild('ping', 'urn:xmpp:ping') === undefined) return undefined;
  return `<iq type='result' ${swapAddresses(stanza)}/>`;
}

/**
 * The answer to a request that the gateway does not understand (RFC 6120 §8.2.3); undefined when
 * the stanza is not a request. It does not echo the request's payload: a prefix that was declared
 * further out would be undeclared in the answer, and the server would close the stream.
 */
export function buildServiceUnavailable(stanza: Element): string | undefined {
  const { type } = stanza.attrs;
  if (!stanza.is('iq') || (type !== 'get' && type !== 'set')) {
    return undefined;
  }
  return `<iq type='error' ${swapAddresses(stanza)}><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`;
}

function swapAddresses({ attrs: { id, from, to } }: Element): string {
  return `id='${escapeAttribute(String(id ?? ''))}' from='${escapeAttribute(String(to ?? ''))}' to='${escapeAttribute(String(from ?? ''))}'`;
}
