import { createFaultList, escapePointer, type FaultList } from '../fault-list.ts';
import type { Jid } from '../jid/jid.ts';
import { quote } from '../quote.ts';
import { parseXml, type XmlParseOptions } from '../xml/parse.ts';
import { clientNamespace, type XmlElement, XmlError, type XmlNode } from '../xml/xml.ts';
import { type AttributeMap, buildAttributes, readAttributeMap } from './json-attributes.ts';
import { describeValue, isRecord, readString } from './json-value.ts';
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

/** The message in a JSON body (the value of parseJson). Throws GatewayError `invalid-message`. */
export function readMessageFromJson(value: unknown, context: MessageContext): Message {
  const faults = createFaultList();
  if (!isRecord(value)) {
    faults.add('', `Expected an object, got ${describeValue(value)}.`);
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
  const to = readTo(value['to'], map, context.componentDomain, faults);
  const type = readType(map.get('type') ?? 'chat', '/message_attributes/type', faults);
  const id = map.get('id');
  if (id !== undefined) checkId(id, '/message_attributes/id', faults);
  const body = readBody(value, limits, faults);
  const around = {
    elements: body === undefined ? 1 : 2,
    attributes: map.size + (body?.attributes.length ?? 0),
  };
  if (around.attributes > limits.totalAttributes) {
    const detail = `Expected at most ${limits.totalAttributes} attributes in all, got ${around.attributes}.`;
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

/** The recipient, which message_attributes may repeat. */
function readTo(
  value: unknown,
  map: AttributeMap,
  componentDomain: string,
  faults: FaultList,
): Jid | undefined {
  if (value === undefined) {
    faults.add('/to', 'Expected the field to, the address of the recipient.');
    return undefined;
  }
  const text = readString(value, '/to', faults);
  const to = text === undefined ? undefined : readRecipient(text, '/to', componentDomain, faults);
  const repeated = map.get('to');
  if (to === undefined || repeated === undefined || repeated === text) return to;

  const pointer = '/message_attributes/to';
  const other = readRecipient(repeated, pointer, componentDomain, faults);
  if (other !== undefined && other.toString() !== to.toString()) {
    faults.add(pointer, 'Expected the same address as in the field to, or none.');
  }
  return to;
}

/** Leaves out what is a member of Message or, like `from`, given by the gateway. */
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

/** Elements as they would stand in `<message/>`; all their faults are told at the field. */
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
