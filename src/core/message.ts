import type { Jid } from './jid.ts';
import { clientNamespace, type XmlAttribute, type XmlNode } from './xml.ts';
import { serializeElement } from './xml-serialize.ts';

/** The types of message that the gateway sends (RFC 6121 §5.2.2); `error` is for servers. */
export const messageTypes = ['chat', 'normal', 'headline', 'groupchat'] as const;
export type MessageType = (typeof messageTypes)[number];

/** Caps on what one message may hold. */
export interface MessageLimits {
  /** Most bytes of the serialised stanza, in UTF-8. */
  readonly stanzaBytes: number;
  /** Most nested elements, `<message/>` counted as 1. */
  readonly depth: number;
  /** Most attributes on one element. */
  readonly attributes: number;
}

/** A validated message: the only thing that is ever serialised for the component stream. */
export interface Message {
  readonly id: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly type: MessageType | undefined;
  /** Attributes besides id, from, to and type. */
  readonly attributes: readonly XmlAttribute[];
  /** Elements, with white space between them. */
  readonly children: readonly XmlNode[];
}

/** A message as it goes on the wire. */
export interface Stanza {
  readonly id: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly xml: string;
  /** Length of `xml` in UTF-8. */
  readonly bytes: number;
}

/**
 * Sends a stanza and resolves when the XMPP server has processed it without an error.
 * Rejects with GatewayError: bounced, xmpp-unavailable, overloaded, delivery-unknown.
 */
export type Deliver = (stanza: Stanza) => Promise<void>;

/** The stanza of a message; throws GatewayError `too-large` when it is over `stanzaBytes`. */
export function serializeMessage(message: Message, limits: MessageLimits): Stanza {
  const { id, from, to, type, attributes, children } = message;
  const own = [
    buildAttribute('to', to.toString()),
    buildAttribute('from', from.toString()),
    buildAttribute('id', id),
  ];
  if (type !== undefined) own.push(buildAttribute('type', type));
  const root = {
    prefix: '',
    name: 'message',
    namespace: clientNamespace,
    attributes: [...own, ...attributes],
    children,
  };
  const xml = serializeElement(root, limits.stanzaBytes);
  return { id, from, to, xml, bytes: Buffer.byteLength(xml) };
}

function buildAttribute(name: string, value: string): XmlAttribute {
  return { prefix: '', name, namespace: '', value };
}
