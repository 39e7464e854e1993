import { createFaultList, escapePointer, type FaultList } from '../fault-list.ts';
import type { Jid } from '../jid/jid.ts';
import { describeJsonValue, isRecord } from '../json.ts';
import { quote } from '../text.ts';
import { parseXml, type XmlParseOptions } from '../xml/parse.ts';
import { clientNamespace, type XmlElement, XmlError, type XmlNode } from '../xml/xml.ts';
import {
  type AttributeMap,
  buildAttributes,
  noAttributes,
  readAttributeMap,
  readString,
  readValue,
} from './json-values.ts';
import type { MessageLimits, Submission } from './message.ts';
import { checkChildren, checkId, type MessageContext, readRecipient, readType } from './rules.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The fields of a message that has no need of XML. */
export const plainFields = ['to', 'body', 'subject', 'type', 'id'] as const;

const fields: readonly string[] = [
  ...plainFields,
  'message_attributes',
  'body_attributes',
  'extra_elements',
];

/** The most recipients of one request. */
export const maxRecipients = 100;

/**
 * Reads the message in a JSON body, as parseJson returns it, or in the fields of a form or a query;
 * throws GatewayError `invalid-message`.
 */
export function readSubmission(value: unknown, context: MessageContext): Submission {
  const faults = createFaultList();
  if (!isRecord(value)) {
    const advice = Array.isArray(value)
      ? ' Send one message, or one a line as Content-Type: application/x-ndjson.'
      : '';
    faults.add('', `Expected an object, got ${describeJsonValue(value)}.${advice}`);
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
  const typeText = readOnce('type', value, map, faults);
  const type = typeText && readType(typeText.text, typeText.pointer, faults);
  const id = readOnce('id', value, map, faults);
  if (id !== undefined) checkId(id.text, id.pointer, faults);
  const children = readChildren(value, map, limits, faults);

  if (!faults.isEmpty()) throw faults.toError();
  const isList = Array.isArray(value['to']);
  const attributes = buildAttributes(map, namedAttributes);
  return {
    messages: to.map((recipient) => ({
      id: id?.text ?? context.createId(isList ? recipient : undefined),
      caller: context.caller,
      from: context.from,
      to: recipient,
      type: type ?? 'chat',
      attributes,
      children,
    })),
    isList,
    isTypeOpen: type === undefined,
  };
}

/** What other APIs call a field, in lower case. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ['content', 'body'],
  ['jid', 'to'],
  ['message', 'body'],
  ['msg', 'body'],
  ['recipient', 'to'],
  ['recipients', 'to'],
  ['text', 'body'],
  ['title', 'subject'],
  ['to[]', 'to'],
]);

/** What other APIs have a field for, in lower case. */
const notFields: ReadonlyMap<string, string> = new Map([
  ['from', 'The sender is the user in the URL, or who logs in, and cannot be given.'],
  ['idempotency_key', 'Send it as the header Idempotency-Key.'],
  ['lang', 'In JSON it is "xml:lang" in message_attributes.'],
  ['nick', 'The nick in a room is that of the sender, and cannot be given.'],
  ['thread', 'In JSON write <thread>…</thread> into extra_elements.'],
  ['wait', 'To wait for a receipt, send the header Prefer: wait=SECONDS.'],
  ['xml:lang', 'In JSON it is "xml:lang" in message_attributes.'],
]);

/** Returns the field of `known` that is probably meant by another name. */
function findMeantField(name: string, known: readonly string[]): string | undefined {
  const lowerCase = name.toLowerCase();
  return known.includes(lowerCase) ? lowerCase : otherNames.get(lowerCase);
}

/**
 * Says that a name is not one of the fields `known`, and which of them is probably meant; `otherwise` is
 * added if none is.
 */
export function describeUnknownField(
  name: string,
  known: readonly string[],
  otherwise = '',
): string {
  const meant = findMeantField(name, known);
  const advice = meant === undefined ? notFields.get(name.toLowerCase()) : `Did you mean ${meant}?`;
  const list = `Expected one of ${known.join(', ')}.${otherwise}`;
  return `The field ${quote(name)} is unknown. ${advice ?? list}`;
}

const webhookAdvice = ' If this is the payload of a webhook, add ?template=NAME&to=… to the URL.';

function refuseUnknownFields(value: Fields, faults: FaultList): void {
  const unknown = Object.keys(value).filter((name) => !fields.includes(name));
  if (unknown.length === 0) return;
  const isForeign = isWebhook(value, unknown);
  for (const [index, name] of unknown.entries()) {
    // The first fault is the one that callers see first.
    const webhook = isForeign && index === 0 ? webhookAdvice : '';
    faults.add(
      () => `/${escapePointer(name)}`,
      () => describeUnknownField(name, fields) + webhook,
    );
  }
}

/** Whether a value was probably not written for this API: it says neither what to send, nor to whom. */
function isWebhook(value: Fields, unknown: readonly string[]): boolean {
  const isOurs = ['to', 'body', 'extra_elements'].some((name) => value[name] !== undefined);
  const hasRecipient = unknown.some((name) => findMeantField(name, fields) === 'to');
  return !isOurs && !hasRecipient;
}

/** Reads the recipient, or a list of them; `message_attributes` may repeat a single address. */
function readTo(
  value: unknown,
  map: AttributeMap,
  context: MessageContext,
  faults: FaultList,
): readonly Jid[] {
  if (value === undefined) {
    faults.add('/to', 'Expected the field to, the address of the recipient.');
    return [];
  }
  if (Array.isArray(value)) return readList(value, map, context, faults);
  if (typeof value !== 'string') {
    faults.add('/to', `Expected an address or a list of them, got ${describeJsonValue(value)}.`);
    return [];
  }
  const text = readString(value, '/to', faults);
  const to = text === undefined ? undefined : readRecipient(text, '/to', context, faults);
  if (to === undefined) return [];
  const repeated = map.get('to');
  if (repeated !== undefined && repeated !== text) {
    const pointer = '/message_attributes/to';
    const other = readRecipient(repeated, pointer, context, faults);
    if (other !== undefined && other.toString() !== to.toString()) {
      faults.add(pointer, 'Expected the same address as in the field to, or none.');
    }
  }
  return [to];
}

function readList(
  list: readonly unknown[],
  map: AttributeMap,
  context: MessageContext,
  faults: FaultList,
): readonly Jid[] {
  if (list.length < 1 || list.length > maxRecipients) {
    faults.add('/to', `Expected 1 to ${maxRecipients} addresses, got ${list.length}.`);
    return [];
  }
  if (map.has('to')) {
    faults.add('/message_attributes/to', 'Expected no address here beside a list of them.');
  }
  const found = new Map<string, Jid>();
  for (const [index, value] of list.entries()) {
    const pointer = `/to/${index}`;
    const text = readString(value, pointer, faults);
    const to = text === undefined ? undefined : readRecipient(text, pointer, context, faults);
    if (to === undefined) continue;
    if (found.has(to.toString())) {
      faults.add(pointer, `Expected each address once, got ${quote(to.toString())} again.`);
    }
    found.set(to.toString(), to);
  }
  return [...found.values()];
}

interface FoundText {
  readonly text: string;
  readonly pointer: string;
}

/** Reads a value that may be at the top or in `message_attributes`, or in both if it is the same. */
function readOnce(
  name: 'id' | 'type',
  value: Fields,
  map: AttributeMap,
  faults: FaultList,
): FoundText | undefined {
  const pointer = `/${name}`;
  // A number can be an id, but no type.
  const read = name === 'id' ? readValue : readString;
  const top = value[name] === undefined ? undefined : read(value[name], pointer, faults);
  const attribute = map.get(name);
  if (top === undefined) {
    return attribute === undefined
      ? undefined
      : { text: attribute, pointer: `/message_attributes/${name}` };
  }
  if (attribute !== undefined && attribute !== top) {
    faults.add(pointer, `Expected the same ${name} as in message_attributes, or none.`);
  }
  return { text: top, pointer };
}

/** The members of Message, and `from`, which the gateway assigns. */
const namedAttributes: readonly string[] = ['from', 'to', 'id', 'type'];

/** Reads body, subject and further elements, in this order. */
function readChildren(
  value: Fields,
  map: AttributeMap,
  limits: MessageLimits,
  faults: FaultList,
): XmlNode[] {
  const own: XmlElement[] = [];
  const body = readBody(value, limits, faults);
  if (body !== undefined) own.push(body);
  const subject = readSubject(value, faults);
  if (subject !== undefined) own.push(subject);
  const around = {
    elements: 1 + own.length,
    attributes: own.reduce((sum, { attributes }) => sum + attributes.length, map.size),
  };
  if (around.attributes > limits.totalAttributes) {
    const detail = `Expected at most ${limits.totalAttributes} attributes in total, got ${around.attributes}.`;
    faults.add('/message_attributes', detail);
  }
  const extra = readExtraElements(value['extra_elements'], limits, around, faults);
  return extra.length === 0 ? own : [...own, ...extra];
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
  return buildElement('body', text, map);
}

function readSubject(value: Fields, faults: FaultList): XmlElement | undefined {
  if (value['subject'] === undefined) return undefined;
  return buildElement('subject', readString(value['subject'], '/subject', faults));
}

function buildElement(
  name: string,
  text: string | undefined,
  map: AttributeMap = noAttributes,
): XmlElement {
  return {
    prefix: '',
    name,
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
    checkChildren(nodes, { add: (_path, detail) => faults.add(pointer, detail) });
    return nodes;
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    const judgement = error.kind === 'malformed' ? 'Not well-formed XML elements' : 'Refused';
    faults.add(pointer, `${judgement}: ${error.message}.`);
    return [];
  }
}
