import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import type { Stanza } from '../../core/message/message.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { StreamHandle } from '../stream/handle.ts';
import { buildPing } from '../wire/iq.ts';

/** Pings for one message at most. */
const maxPings = 2;

/**
 * Asks the recipient's server about a message that our own server has processed. `onAnswer` hears
 * whether the answer proves that the other server has processed it, too. Returns what ends the asking.
 *
 * A ping (XEP-0199) from the sender's resource is a barrier there: it follows the message on the same
 * server-to-server stream, and the answers come back in the same order. It goes to a resource of the
 * domain. A result comes from a server such as Prosody, which has processed the message by then. ejabberd
 * answers with an error, and its clients and rooms are separate processes that may still return the
 * message after that: a second ping gives them time, and proves nothing.
 */
export function pingRecipientServer(
  stream: StreamHandle,
  message: Pick<Stanza, 'from' | 'to'>,
  onAnswer: (isProven: boolean) => void,
): () => void {
  const to = `${message.to.domain}/gateway`;
  const from = escapeAttribute(message.from.toString());
  let id = '';
  const ping = (count: number): void => {
    stream.forget(id);
    id = `remote-${randomBytes(12).toString('hex')}`;
    stream.expect(id, (stanza) => {
      if (stanza.attrs['from'] !== to) return;
      const isError = stanza.attrs['type'] === 'error';
      if (isError && !isOfRemoteServer(stanza)) return;
      if (isError && count < maxPings) ping(count + 1);
      else onAnswer(!isError);
    });
    stream.write(buildPing(id, from, to));
  };
  ping(1);
  return () => stream.forget(id);
}

/**
 * Our own server answers in place of the remote one when it cannot reach it, when its queue of stanzas
 * to it is full (type `wait`), and when it refuses the sender.
 */
function isOfRemoteServer(error: Element): boolean {
  if (isSenderRefusal(error)) return false;
  const { condition, type } = readStanzaError(error);
  return type !== 'wait' && !condition.startsWith('remote-server-');
}
