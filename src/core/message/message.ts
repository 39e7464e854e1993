import type { Jid } from '../jid/jid.ts';
import type { XmlLimits } from '../xml/parse.ts';
import { escapeAttribute, measureExpanded, serializeElement, tooLarge } from '../xml/serialize.ts';
import { clientNamespace, type XmlAttribute, type XmlNode } from '../xml/xml.ts';
import type { Mode, WireForm } from './mode.ts';

/** The types of message that the gateway sends (RFC 6121 §5.2.2); `error` is for servers. */
export const messageTypes = ['chat', 'normal', 'headline', 'groupchat'] as const;
export type MessageType = (typeof messageTypes)[number];

/** Caps on what one message may hold. */
export interface MessageLimits extends XmlLimits {
  /** Most bytes of the serialised stanza, in UTF-8. */
  readonly stanzaBytes: number;
  /** Most bytes of measureExpanded. */
  readonly expandedBytes: number;
}

/** A validated message: the only thing that is ever serialised for the component stream. */
export interface Message {
  readonly id: string;
  /** Names the API account or the XMPP user who asked for it: callers are served in turns. */
  readonly caller: string;
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
  /** As in Message. */
  readonly caller: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly xml: string;
  /** Length of `xml` in UTF-8. */
  readonly bytes: number;
  /** In a message of the component to the sender's domain (XEP-0356 §5.1): that is what may be refused. */
  readonly isWrapped: boolean;
}

/** What became of a message that was not refused. */
export interface Receipt {
  readonly id: string;
  /** The addresses as they stood on the wire. */
  readonly from: Jid;
  readonly to: Jid;
  readonly mode: Mode;
  /** Whose server has processed it: at least our own, or that of the recipient or room too. */
  readonly confirmed: 'server' | 'remote';
}

/**
 * Sends a message and resolves when the XMPP server has processed it without an error. Rejects with
 * GatewayError: too-large, bounced, sender-refused, xmpp-unavailable, overloaded, delivery-unknown.
 */
export type Deliver = (message: Message) => Promise<Receipt>;

/**
 * The stanza of a message in a form; throws GatewayError `too-large` when it is over `stanzaBytes`
 * or `expandedBytes`, the wrapper of a privileged one not counted.
 */
export function serializeMessage(
  message: Message,
  limits: MessageLimits,
  form: WireForm = { mode: 'plain' },
): Stanza {
  const { id, caller, to, type, attributes, children } = message;
  const from = form.mode === 'client' ? message.from.withResource(form.resource) : message.from;
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
  const inner = serializeElement(root, limits.stanzaBytes);
  const expanded = measureExpanded(root);
  if (expanded > limits.expandedBytes) {
    throw tooLarge(
      `An XMPP server needs ${expanded} bytes for the message, its elements and namespaces written out in full; the limit of this gateway is ${limits.expandedBytes}.`,
    );
  }
  const isWrapped = form.mode === 'privileged';
  const xml = isWrapped ? wrap(inner, id, form) : inner;
  return { id, caller, from, to, xml, bytes: Buffer.byteLength(xml), isWrapped };
}

/** XEP-0356 §5.1; the inner message has to be in jabber:client. */
function wrap(
  inner: string,
  id: string,
  { namespace, component, domain }: Extract<WireForm, { mode: 'privileged' }>,
): string {
  const message = inner.replace('<message', `<message xmlns='${clientNamespace}'`);
  return `<message from='${component}' to='${domain}' id='${escapeAttribute(id)}'><privilege xmlns='${namespace}'><forwarded xmlns='urn:xmpp:forward:0'>${message}</forwarded></privilege></message>`;
}

function buildAttribute(name: string, value: string): XmlAttribute {
  return { prefix: '', name, namespace: '', value };
}

const originIdNamespace = 'urn:xmpp:sid:0';

/**
 * The message with an `<origin-id/>` of its own id (XEP-0359 §3), by which clients can drop a
 * duplicate; one that the caller gave stays.
 */
export function withOriginId(message: Message): Message {
  const { id, children } = message;
  const hasOne = children.some(
    (child) =>
      typeof child !== 'string' &&
      child.name === 'origin-id' &&
      child.namespace === originIdNamespace,
  );
  if (hasOne) return message;
  const attributes = [{ prefix: '', name: 'id', namespace: '', value: id }];
  const originId = {
    prefix: '',
    name: 'origin-id',
    namespace: originIdNamespace,
    attributes,
    children: [],
  };
  return { ...message, children: [...children, originId] };
}
