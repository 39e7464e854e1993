import type { Session } from './session.ts';
import { find, type Stanza } from './stanza.ts';

/** A receipt (XEP-0184 §5.4) for the message with the id `received`. */
export function receiptXml(to: string, received: string, type = 'chat'): string {
  return `<message to='${to}' id='receipt-${received}' type='${type}'><received xmlns='urn:xmpp:receipts' id='${received}'/></message>`;
}

/** Whether a message asks for a receipt. */
export function asksForReceipt({ root }: Stanza): boolean {
  return find(root, 'request')?.namespace === 'urn:xmpp:receipts';
}

/** Waits for the message and answers as a client does: with a receipt if it is asked for one. */
export async function answerReceipt(session: Session, id: string): Promise<void> {
  const message = await session.waitForMessage(id);
  if (!asksForReceipt(message)) throw new Error(`expected a request, got ${message.xml}`);
  session.send(receiptXml(String(message.root.attributes['from']), id));
}
