import type { Message } from './message.ts';

const namespace = 'urn:xmpp:sid:0';

/**
 * The message with an `<origin-id/>` of its own id (XEP-0359 §3), by which clients can drop a
 * duplicate; one that the caller gave stays.
 */
export function withOriginId(message: Message): Message {
  const { id, children } = message;
  const hasOne = children.some(
    (child) =>
      typeof child !== 'string' && child.name === 'origin-id' && child.namespace === namespace,
  );
  if (hasOne) return message;
  const attributes = [{ prefix: '', name: 'id', namespace: '', value: id }];
  const originId = { prefix: '', name: 'origin-id', namespace, attributes, children: [] };
  return { ...message, children: [...children, originId] };
}
