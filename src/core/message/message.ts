import type { Jid } from '../jid/jid.ts';
import type { XmlLimits } from '../xml/parse.ts';
import {
  boundExpanded,
  escapeAttribute,
  measureExpanded,
  serializeElement,
  tooLarge,
} from '../xml/serialize.ts';
import { clientNamespace, type XmlAttribute, type XmlElement, type XmlNode } from '../xml/xml.ts';
import type { Mode, WireForm } from './mode.ts';

/** The message types that callers may use (RFC 6121 §5.2.2); `error` is reserved for servers. */
export const messageTypes = ['chat', 'normal', 'headline', 'groupchat'] as const;
export type MessageType = (typeof messageTypes)[number];

/** Limits on one message. */
export interface MessageLimits extends XmlLimits {
  /** Maximum size of the serialised stanza, in bytes of UTF-8. */
  readonly stanzaBytes: number;
  /** Maximum result of measureExpanded, in bytes. */
  readonly expandedBytes: number;
}

/** A validated message. Nothing else is ever serialised for the component stream. */
export interface Message {
  readonly id: string;
  /** The API account or XMPP user that sends it; delivery takes turns between callers. */
  readonly caller: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly type: MessageType | undefined;
  /** Attributes other than id, from, to and type. */
  readonly attributes: readonly XmlAttribute[];
  /** Elements, and white space between them. */
  readonly children: readonly XmlNode[];
  /** How long the caller waits for an XEP-0184 receipt of the recipient's client; absent: not at all. */
  readonly waitMs?: number | undefined;
}

/** What a request asks to send. */
export interface Submission {
  /** One message for each recipient, in order. */
  readonly messages: readonly Message[];
  /** Whether the recipients were given as a list, so that the answer is one. */
  readonly isList: boolean;
  /** Whether the caller left the type to the gateway: that of `typeForRoom` for a room, else that of `messages`. */
  readonly isTypeOpen: boolean;
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
  /** About what the message takes in memory while it waits. */
  readonly heldBytes: number;
  /** Whether the component's own message to the sender's domain wraps it (XEP-0356 §5.1); errors refer to that. */
  readonly isWrapped: boolean;
  /** Whether it is to be said in a room. */
  readonly isGroupchat: boolean;
  /** The subject that it gives a room; absent if it is for no room, or says something. */
  readonly newSubject?: string | undefined;
}

/** What happened to an accepted message. */
export interface Receipt {
  readonly id: string;
  /** The addresses, as sent on the wire. */
  readonly from: Jid;
  readonly to: Jid;
  readonly mode: Mode;
  /**
   * Whether our XMPP server alone has processed it, or the server of the recipient or room too, or a
   * client of the recipient has it.
   */
  readonly confirmed: 'server' | 'remote' | 'recipient';
}

/** The wait for the XEP-0184 receipt of a message that our XMPP server has processed. */
export interface Arrival {
  /** Resolves when the receipt has come, or the time is up; rejects with GatewayError `bounced`. */
  readonly confirmed: Promise<Receipt['confirmed']>;
  /** Calls back if the receipt comes after that, or the message comes back: a GatewayError. */
  onLate(callback: (fate: 'recipient' | Error) => void): void;
  /** The time is up now: the caller is gone. */
  end(): void;
}

/** An accepted message. */
export interface Delivered extends Receipt {
  /** Only if a receipt was asked for. */
  readonly arrival?: Arrival | undefined;
}

/**
 * Sends a message and resolves when the XMPP server has processed it without an error. Rejects with
 * GatewayError: too-large, bounced, sender-refused, xmpp-unavailable, overloaded, delivery-unknown.
 */
export type Deliver = (message: Message) => Promise<Delivered>;

/**
 * Serialises a message in the given form. Throws GatewayError `too-large` if it exceeds `stanzaBytes`
 * or `expandedBytes`; the wrapper of a privileged message does not count.
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
  const typed = type === undefined ? [] : [buildAttribute('type', type)];
  const root = {
    prefix: '',
    name: 'message',
    namespace: clientNamespace,
    attributes: own.concat(typed, attributes),
    children,
  };
  const inner = serializeElement(root, limits.stanzaBytes);
  if (boundExpanded(root) > limits.expandedBytes) refuseExpensive(root, limits.expandedBytes);
  const isWrapped = form.mode === 'privileged';
  const xml = isWrapped ? wrap(inner, id, form) : inner;
  const isGroupchat = type === 'groupchat';
  const bytes = Buffer.byteLength(xml);
  const heldBytes = bytes + bytesPerNode * countNodes(children);
  const newSubject = isGroupchat ? findNewSubject(children) : undefined;
  return { id, caller, from, to, xml, bytes, heldBytes, isWrapped, isGroupchat, newSubject };
}

/** Measured: 90 to 200, for elements, attributes and texts (V8 of Node.js 20). */
const bytesPerNode = 200;

function countNodes(nodes: readonly XmlNode[]): number {
  return nodes.reduce(
    (count, node) =>
      typeof node === 'string'
        ? count + 1
        : count + 1 + node.attributes.length + countNodes(node.children),
    0,
  );
}

function refuseExpensive(root: XmlElement, maxBytes: number): void {
  const expanded = measureExpanded(root);
  if (expanded <= maxBytes) return;
  throw tooLarge(
    `An XMPP server needs ${expanded} bytes for the message, its elements and namespaces written out in full; the limit of this gateway is ${maxBytes}.`,
  );
}

/** XEP-0356 §5.1: the inner message must be in jabber:client. */
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
 * Adds an `<origin-id/>` with the message's id (XEP-0359 §3), by which clients can recognise a
 * duplicate, unless the caller has given one.
 */
export function withOriginId(message: Message): Message {
  return withElement(message, 'origin-id', originIdNamespace, [buildAttribute('id', message.id)]);
}

/** The namespace of XEP-0184. */
export const receiptsNamespace = 'urn:xmpp:receipts';

/**
 * Whether a receipt may be asked for: not in a room (XEP-0184 §5.3), nor for a message that is a receipt
 * itself (§5.5), or the two clients would answer one another for ever.
 */
export function mayRequestReceipt({ type, children }: Message): boolean {
  const isChat = type === undefined || type === 'normal' || type === 'chat';
  return isChat && !hasElement(children, 'received', receiptsNamespace);
}

/** The type of a message to a room if the caller gives none: a room passes invitations on (XEP-0045 §7.8.2). */
export function typeForRoom({ children }: Message): MessageType {
  const isInvitation = hasElement(children, 'x', 'http://jabber.org/protocol/muc#user');
  return isInvitation ? 'normal' : 'groupchat';
}

/** Adds a `<request/>` for a receipt (XEP-0184 §5), unless the caller has given one. */
export function withReceiptRequest(message: Message): Message {
  return withElement(message, 'request', receiptsNamespace, []);
}

function withElement(
  message: Message,
  name: string,
  namespace: string,
  attributes: readonly XmlAttribute[],
): Message {
  const { children } = message;
  if (hasElement(children, name, namespace)) return message;
  const element = { prefix: '', name, namespace, attributes, children: [] };
  return { ...message, children: [...children, element] };
}

/** XEP-0045 §8.1: a room takes a subject for its new one if there is neither a body nor a thread. */
function findNewSubject(children: readonly XmlNode[]): string | undefined {
  const find = (name: string) => findElement(children, name, clientNamespace);
  if (find('body') !== undefined || find('thread') !== undefined) return undefined;
  return find('subject')
    ?.children.filter((child) => typeof child === 'string')
    .join('');
}

function hasElement(children: readonly XmlNode[], name: string, namespace: string): boolean {
  return findElement(children, name, namespace) !== undefined;
}

function findElement(
  children: readonly XmlNode[],
  name: string,
  namespace: string,
): XmlElement | undefined {
  return children.find(
    (child): child is XmlElement =>
      typeof child !== 'string' && child.name === name && child.namespace === namespace,
  );
}
