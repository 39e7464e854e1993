import { GatewayError, invalidMessage } from '../errors.ts';
import { createFaultList, type FaultList } from '../fault-list.ts';
import type { Jid } from '../jid/jid.ts';
import { abbreviate, copyText, quote } from '../text.ts';
import { parseXml } from '../xml/parse.ts';
import {
  clientNamespace,
  qualifiedName,
  type XmlAttribute,
  type XmlElement,
  XmlError,
  type XmlNode,
} from '../xml/xml.ts';
import type { Message, MessageLimits } from './message.ts';
import {
  checkAttributes,
  checkChildren,
  checkId,
  type MessageContext,
  readRecipient,
  readType,
} from './rules.ts';

/**
 * Parses the message in an XML body: one `<message/>`, as a client would send it. Throws GatewayError:
 * `malformed-body`, `invalid-message`.
 */
export function parseMessageFromXml(text: string, context: MessageContext): Message {
  const root = parseRoot(text, context.limits);
  const { named, attributes } = splitAttributes(root.attributes);
  const faults = createFaultList();

  const to = readTo(named.get('to'), context, faults);
  const ownType = named.get('type');
  const type = ownType === undefined ? undefined : readType(ownType, '/message/@type', faults);
  const ownId = named.get('id');
  if (ownId !== undefined) checkId(ownId, '/message/@id', faults);
  checkAttributes(attributes, '/message', faults);
  checkChildren(root.children, faults);

  if (to === undefined || !faults.isEmpty()) throw faults.toError();
  const id = ownId === undefined ? context.createId() : copyText(ownId);
  return {
    id,
    caller: context.caller,
    from: context.from,
    to,
    type,
    attributes,
    children: root.children,
  };
}

function readTo(
  address: string | undefined,
  context: MessageContext,
  faults: FaultList,
): Jid | undefined {
  const pointer = '/message/@to';
  if (address !== undefined) return readRecipient(address, pointer, context, faults);
  faults.add(pointer, 'Expected the attribute to, the address of the recipient.');
  return undefined;
}

function parseRoot(text: string, limits: MessageLimits): XmlElement {
  const [root] = parseDocument(text, limits);
  if (root === undefined || typeof root === 'string') throw new Error('a document without root');
  const { name, namespace } = root;
  if (name === 'message' && namespace === clientNamespace) return root;
  throw invalidMessage(
    `/${abbreviate(qualifiedName(root))}`,
    `Expected a <message/> in ${clientNamespace}, got ${quote(name)} in ${quote(namespace)}.`,
  );
}

function parseDocument(text: string, limits: MessageLimits): XmlNode[] {
  try {
    return parseXml(text, { limits, defaultNamespace: clientNamespace, fragment: false });
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    if (error.kind === 'refused') throw invalidMessage(error.path, `Refused: ${error.message}.`);
    throw new GatewayError('malformed-body', `The body is not well-formed XML: ${error.message}.`);
  }
}

/** `from`, which the gateway assigns, and the members of Message. */
const names: ReadonlySet<string> = new Set(['from', 'to', 'id', 'type']);

interface SplitAttributes {
  readonly named: ReadonlyMap<string, string>;
  readonly attributes: readonly XmlAttribute[];
}

/** Separates the attributes that the gateway interprets from those that it passes on. */
function splitAttributes(all: readonly XmlAttribute[]): SplitAttributes {
  return {
    named: new Map(all.filter(isNamed).map(({ name, value }) => [name, value])),
    attributes: all.filter((attribute) => !isNamed(attribute)),
  };
}

function isNamed({ prefix, name }: XmlAttribute): boolean {
  return prefix === '' && names.has(name);
}
