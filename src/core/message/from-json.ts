import { createFaultList, escapePointer, type FaultList } from '../fault-list.ts';
import type { Jid } from '../jid/jid.ts';
import { describeJsonValue, isRecord } from '../json.ts';
import { quote } from '../text.ts';
import { findIllegalCharacter, isNcName } from '../xml/names.ts';
import { parseXml, type XmlParseOptions } from '../xml/parse.ts';
import {
  clientNamespace,
  type XmlAttribute,
  type XmlElement,
  XmlError,
  type XmlNode,
  xmlAttributeNames,
  xmlNamespace,
} from '../xml/xml.ts';
import type { Message, MessageLimits } from './message.ts';
import { checkChildren, checkId, type MessageContext, readRecipient, readType } from './rules.ts';

type Fields = Readonly<Record<string, unknown>>;

const fields: ReadonlySet<string> = new Set([
  'to',
  'body',
  'message_attributes',
  'body_attributes',
  'extra_elements',
]);

/** Reads the message from a JSON body, as parseJson returns it; throws GatewayError `invalid-message`. */
export function readMessageFromJson(value: unknown, context: MessageContext): Message {
  const faults = createFaultList();
  if (!isRecord(value)) {
    faults.add('', `Expected an object, got ${describeJsonValue(value)}.`);
    throw faults.toError();
  }
  refuseUnknownFields(value, faults);

  const { limits } = context;
  const map = readAttributeMap(
    value['message_attributes'],
    '/message_attributes',
    limits.attributes,
    faults,
  );
  const to = readTo(value['to'], map, context, faults);
  const type = readType(map.get('type') ?? 'chat', '/message_attributes/type', faults);
  const id = map.get('id');
  if (id !== undefined) checkId(id, '/message_attributes/id', faults);
  const body = readBody(value, limits, faults);
  const around = {
    elements: body === undefined ? 1 : 2,
    attributes: map.size + (body?.attributes.length ?? 0),
  };
  if (around.attributes > limits.totalAttributes) {
    const detail = `Expected at most ${limits.totalAttributes} attributes in total, got ${around.attributes}.`;
    faults.add('/message_attributes', detail);
  }
  const extra = readExtraElements(value['extra_elements'], limits, around, faults);

  if (to === undefined || !faults.isEmpty()) throw faults.toError();
  return {
    id: id ?? context.createId(),
    caller: context.caller,
    from: context.from,
    to,
    type,
    attributes: map.size === 0 ? [] : buildAttributes(omitNamed(map)),
    children: body === undefined ? extra : [body, ...extra],
  };
}

function refuseUnknownFields(value: Fields, faults: FaultList): void {
  for (const name of Object.keys(value)) {
    if (fields.has(name)) continue;
    const expected = [...fields].join(', ');
    faults.add(
      `/${escapePointer(name)}`,
      `The field ${quote(name)} is unknown; expected one of ${expected}.`,
    );
  }
}

/** Reads the recipient; `message_attributes` may repeat the address. */
function readTo(
  value: unknown,
  map: AttributeMap,
  context: MessageContext,
  faults: FaultList,
): Jid | undefined {
  if (value === undefined) {
    faults.add('/to', 'Expected the field to, the address of the recipient.');
    return undefined;
  }
  const text = readString(value, '/to', faults);
  const to = text === undefined ? undefined : readRecipient(text, '/to', context, faults);
  const repeated = map.get('to');
  if (to === undefined || repeated === undefined || repeated === text) return to;

  const pointer = '/message_attributes/to';
  const other = readRecipient(repeated, pointer, context, faults);
  if (other !== undefined && other.toString() !== to.toString()) {
    faults.add(pointer, 'Expected the same address as in the field to, or none.');
  }
  return to;
}

/** Removes the members of Message, and `from`, which the gateway assigns. */
function omitNamed(map: AttributeMap): AttributeMap {
  const rest = new Map(map);
  for (const name of ['from', 'to', 'id', 'type']) rest.delete(name);
  return rest;
}

function readBody(value: Fields, limits: MessageLimits, faults: FaultList): XmlElement | undefined {
  const map = readAttributeMap(
    value['body_attributes'],
    '/body_attributes',
    limits.attributes,
    faults,
  );
  if (value['body'] === undefined) {
    if (value['body_attributes'] !== undefined) {
      faults.add('/body_attributes', 'Expected the field body beside body_attributes.');
    }
    return undefined;
  }
  const text = readString(value['body'], '/body', faults);
  return {
    prefix: '',
    name: 'body',
    namespace: clientNamespace,
    attributes: buildAttributes(map),
    children: text === undefined || text === '' ? [] : [text],
  };
}

/** Reads elements as children of `<message/>`; the pointer of their faults is that of the field. */
function readExtraElements(
  value: unknown,
  limits: MessageLimits,
  around: XmlParseOptions['around'],
  faults: FaultList,
): XmlNode[] {
  const pointer = '/extra_elements';
  const text = value === undefined ? '' : readString(value, pointer, faults);
  if (text === undefined || text === '') return [];
  try {
    const defaultNamespace = clientNamespace;
    const nodes = parseXml(text, { limits, defaultNamespace, fragment: true, around });
    checkChildren(nodes, { ...faults, add: (_path, detail) => faults.add(pointer, detail) });
    return nodes;
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    const judgement = error.kind === 'malformed' ? 'Not well-formed XML elements' : 'Refused';
    faults.add(pointer, `${judgement}: ${error.message}.`);
    return [];
  }
}

/** Attributes by name, as the JSON body spells it. */
type AttributeMap = ReadonlyMap<string, string>;

const none: AttributeMap = new Map();

const xmlNames: ReadonlySet<string> = new Set(
  Array.from(xmlAttributeNames, (name) => `xml:${name}`),
);

/** Reads a map of attributes at `pointer`; checks `xmlns` and leaves it out. */
function readAttributeMap(
  map: unknown,
  pointer: string,
  maxAttributes: number,
  faults: FaultList,
): AttributeMap {
  if (map === undefined) return none;
  if (!isRecord(map)) {
    faults.add(pointer, `Expected an object, got ${describeJsonValue(map)}.`);
    return none;
  }
  const entries = Object.entries(map);
  if (entries.length > maxAttributes) {
    faults.add(pointer, `Expected at most ${maxAttributes} attributes, got ${entries.length}.`);
    return none;
  }
  const attributes = new Map<string, string>();
  for (const [name, value] of entries) {
    const place = `${pointer}/${escapePointer(name)}`;
    const text = readValue(value, place, faults);
    if (text === undefined || !isAttribute(name, text, place, faults)) continue;
    attributes.set(name, text);
  }
  return attributes;
}

/** Reads a string, finite number or boolean as text. */
function readValue(value: unknown, pointer: string, faults: FaultList): string | undefined {
  if (typeof value === 'string') return readString(value, pointer, faults);
  if (typeof value === 'boolean' || Number.isFinite(value)) return String(value);
  const got = typeof value === 'number' ? 'a number that is too large' : describeJsonValue(value);
  faults.add(pointer, `Expected a string, a finite number or a boolean, got ${got}.`);
  return undefined;
}

/** Whether to keep an attribute. Reports why not, except for the `xmlns` that the message has anyway. */
function isAttribute(name: string, text: string, pointer: string, faults: FaultList): boolean {
  if (name === 'xmlns') {
    if (text !== clientNamespace) {
      faults.add(pointer, `Expected the namespace ${clientNamespace}, got ${quote(text)}.`);
    }
    return false;
  }
  const isKnown = isNcName(name) || xmlNames.has(name);
  if (!isKnown) faults.add(pointer, describeName(name));
  return isKnown;
}

function describeName(name: string): string {
  return name.includes(':')
    ? `Expected a name without a colon or one of ${[...xmlNames].join(', ')}, got ${quote(name)}.`
    : `The name ${quote(name)} is not valid in XML 1.0 4th edition.`;
}

function buildAttributes(map: AttributeMap): XmlAttribute[] {
  return Array.from(map, ([name, value]) =>
    xmlNames.has(name)
      ? { prefix: 'xml', name: name.slice('xml:'.length), namespace: xmlNamespace, value }
      : { prefix: '', name, namespace: '', value },
  );
}

/** Reads a string that XML can carry; anything else is a fault. */
function readString(value: unknown, pointer: string, faults: FaultList): string | undefined {
  if (typeof value !== 'string') {
    faults.add(pointer, `Expected a string, got ${describeJsonValue(value)}.`);
    return undefined;
  }
  const illegal = findIllegalCharacter(value);
  if (illegal === undefined) return value;
  const { name, index } = illegal;
  faults.add(pointer, `XML cannot carry the character ${name} at index ${index}.`);
  return undefined;
}
