import type { FaultList } from '../fault-list.ts';
import { type Jid, JidError, parseJid } from '../jid/jid.ts';
import { copyText, quote } from '../text.ts';
import {
  clientNamespace,
  componentNamespace,
  qualifiedName,
  type XmlAttribute,
  type XmlElement,
  type XmlNode,
  xmlAttributeNames,
  xmlNamespace,
} from '../xml/xml.ts';
import { type MessageLimits, type MessageType, messageTypes } from './message.ts';

/** What the parsers need besides the body. */
export interface MessageContext {
  /** The sender, which the gateway assigns. */
  readonly from: Jid;
  /** As in Message. */
  readonly caller: string;
  readonly limits: MessageLimits;
  /** The component's own domain, prepared by parseDomain. */
  readonly componentDomain: string;
  /** The domains served, prepared by parseDomain. */
  readonly servedDomains: ReadonlySet<string>;
  /** Creates an id for a message without one; `listed` is its recipient if there may be several. */
  readonly createId: (listed?: Jid) => string;
}

/** RFC 6121 §5.2.2; `error` and unknown types are refused. */
export function readType(
  text: string,
  pointer: string,
  faults: FaultList,
): MessageType | undefined {
  const type = messageTypes.find((known) => known === text);
  if (type === undefined) {
    faults.add(
      pointer,
      `Expected one of the types ${messageTypes.join(', ')}, got ${quote(text)}.`,
    );
  }
  return type;
}

/** Reads the recipient's address and prepares it; refuses one where nobody can be reached. */
export function readRecipient(
  text: string,
  pointer: string,
  context: MessageContext,
  faults: FaultList,
): Jid | undefined {
  try {
    const to = parseJid(copyText(text));
    const reason = findReasonAgainst(to, context);
    if (reason === undefined) return to;
    faults.add(pointer, reason);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
    const wayOut = error.addresses > 1 ? ` ${severalRecipients}` : '';
    faults.add(pointer, `The recipient is not a valid address. ${error.message}${wayOut}`);
  }
  return undefined;
}

const severalRecipients =
  'Give each address by itself: as a list in JSON, with to repeated in a form or in the URL, with --to repeated for send; XML takes one.';

function findReasonAgainst(
  { local, domain }: Jid,
  { from, componentDomain, servedDomains }: MessageContext,
): string | undefined {
  if (domain === componentDomain) {
    return `${quote(componentDomain)} is the gateway itself: nobody can be reached there.`;
  }
  // Otherwise a name that lacks its domain would go to a host of that name.
  if (local === undefined && !/[.[]/.test(domain) && !servedDomains.has(domain)) {
    return `${quote(domain)} is a domain, not a user. Did you mean ${domain}@${from.domain}?`;
  }
  return undefined;
}

/** In UTF-8. */
const maxIdBytes = 1023;

/** Servers change tab, LF and CR in attribute values, so that a bounce could not be matched. */
export function checkId(id: string, pointer: string, faults: FaultList): void {
  const bytes = Buffer.byteLength(id);
  if (bytes < 1 || bytes > maxIdBytes) {
    faults.add(pointer, `Expected an id of 1 to ${maxIdBytes} bytes, got ${bytes}.`);
  }
  if (/[\t\n\r]/.test(id)) faults.add(pointer, 'An id must not contain tab, LF or CR.');
}

/** Checks the children of `<message/>`; pointers are paths such as `/message/body`. */
export function checkChildren(children: readonly XmlNode[], faults: Pick<FaultList, 'add'>): void {
  for (const child of children) {
    if (typeof child === 'string') {
      checkText(child, faults);
    } else {
      checkPayload(child, faults);
      checkNamespaces(child, '/message', faults);
    }
  }
}

/** RFC 6120 §8.1: a stanza contains only elements; ejabberd drops text between them. */
function checkText(text: string, faults: Pick<FaultList, 'add'>): void {
  if (/[^ \t\n\r]/.test(text)) {
    faults.add('/message', `Expected only elements in <message/>, got the text ${quote(text)}.`);
  }
}

/** Elements that belong to servers and streams, not to messages. */
const streamNamespaces: ReadonlySet<string> = new Set([
  componentNamespace,
  'jabber:server',
  'http://etherx.jabber.org/streams',
]);

/** Refuses the namespaces of streams in the element, its attributes and its descendants. */
function checkNamespaces(
  element: XmlElement,
  parentPath: string,
  faults: Pick<FaultList, 'add'>,
): void {
  const path = `${parentPath}/${qualifiedName(element)}`;
  if (streamNamespaces.has(element.namespace)) {
    const name = quote(qualifiedName(element));
    faults.add(path, `The element ${name} is in ${quote(element.namespace)}, which is refused.`);
  }
  // Prosody and ejabberd would send it as <name xmlns='…XML/1998/namespace'/>, which Namespaces in
  // XML 1.0 §3 forbids, and the recipient's client would drop its stream.
  if (element.namespace === xmlNamespace) {
    const name = quote(qualifiedName(element));
    faults.add(path, `The element ${name} is refused: XMPP servers cannot pass it on.`);
  }
  checkAttributes(element.attributes, path, faults);
  for (const child of element.children) {
    if (typeof child !== 'string') checkNamespaces(child, path, faults);
  }
}

/** Refuses attributes that servers do not pass on, or must not get; `path` is that of their element. */
export function checkAttributes(
  attributes: readonly XmlAttribute[],
  path: string,
  faults: Pick<FaultList, 'add'>,
): void {
  for (const attribute of attributes) {
    const reason = findAttributeFault(attribute);
    if (reason === undefined) continue;
    const name = qualifiedName(attribute);
    faults.add(`${path}/@${name}`, `The attribute ${quote(name)} is refused: ${reason}.`);
  }
}

function findAttributeFault({ name, namespace }: XmlAttribute): string | undefined {
  if (streamNamespaces.has(namespace)) return `its namespace is ${quote(namespace)}`;
  // Prosody binds another prefix to this namespace, and recipients' parsers refuse that.
  if (namespace === xmlNamespace && !xmlAttributeNames.has(name)) {
    return `XMPP servers pass on xml:${[...xmlAttributeNames].join(', xml:')} only`;
  }
  return undefined;
}

/**
 * Refuses payloads that clients and servers trust when they come from a bare JID, as if the account or
 * its server had sent them (XEP-0280, XEP-0313, XEP-0163, XEP-0356, XEP-0355).
 */
function checkPayload(element: XmlElement, faults: Pick<FaultList, 'add'>): void {
  const reason = findForgery(element);
  if (reason === undefined) return;
  const path = `/message/${qualifiedName(element)}`;
  const what = `${quote(qualifiedName(element))} of ${quote(element.namespace)}`;
  faults.add(path, `The element ${what} is refused: ${reason}.`);
}

function findForgery(element: XmlElement): string | undefined {
  const { name } = element;
  // Some parsers of XMPP clients ignore white space around a namespace name.
  const namespace = element.namespace.trim();
  if (namespace === clientNamespace) return undefined;
  if (namespace === 'urn:xmpp:carbons:2' && (name === 'received' || name === 'sent')) {
    return 'only the server may send carbon copies';
  }
  if (namespace.startsWith('urn:xmpp:mam:') && (name === 'result' || name === 'fin')) {
    return 'only an archive may send its results';
  }
  if (namespace === 'http://jabber.org/protocol/pubsub#event' && name === 'event') {
    return 'only a pubsub service may send its events';
  }
  if (namespace.startsWith('urn:xmpp:privilege:')) {
    return 'it would act with the rights of the component';
  }
  if (namespace.startsWith('urn:xmpp:delegation:')) {
    return 'only the server may delegate';
  }
  return undefined;
}
