import type { Element } from 'ltx';
import { GatewayError } from '../../core/errors.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';

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
