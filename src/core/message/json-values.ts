import { escapePointer, type FaultList } from '../fault-list.ts';
import { describeJsonValue, isRecord } from '../json.ts';
import { quote } from '../text.ts';
import { findIllegalCharacter, isFifthEditionNcName, isNcName } from '../xml/names.ts';
import { clientNamespace, type XmlAttribute, xmlAttributeNames, xmlNamespace } from '../xml/xml.ts';

/** Attributes by name, as the JSON body spells it. */
export type AttributeMap = ReadonlyMap<string, string>;

/** A map of no attributes. */
export const noAttributes: AttributeMap = new Map();

const xmlNames: ReadonlySet<string> = new Set(
  Array.from(xmlAttributeNames, (name) => `xml:${name}`),
);

/** Reads a map of attributes at `pointer`; checks `xmlns` and leaves it out. */
export function readAttributeMap(
  map: unknown,
  pointer: string,
  maxAttributes: number,
  faults: FaultList,
): AttributeMap {
  if (map === undefined) return noAttributes;
  if (!isRecord(map)) {
    faults.add(pointer, `Expected an object, got ${describeJsonValue(map)}.`);
    return noAttributes;
  }
  const entries = Object.entries(map);
  if (entries.length > maxAttributes) {
    faults.add(pointer, `Expected at most ${maxAttributes} attributes, got ${entries.length}.`);
    return noAttributes;
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
export function readValue(value: unknown, pointer: string, faults: FaultList): string | undefined {
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
  if (name.includes(':')) {
    return `Expected a name without a colon or one of ${[...xmlNames].join(', ')}, got ${quote(name)}.`;
  }
  return isFifthEditionNcName(name)
    ? `XMPP servers do not know all letters of the name ${quote(name)}.`
    : `Expected a name of letters, digits, "-", "_" and ".", with a letter or "_" first, got ${quote(name)}.`;
}

/**
 * Builds the attributes of an element, in the order of the map, except for those with the names
 * `omitted`.
 */
export function buildAttributes(
  map: AttributeMap,
  omitted: readonly string[] = [],
): XmlAttribute[] {
  const attributes: XmlAttribute[] = [];
  for (const [name, value] of map) {
    if (omitted.includes(name)) continue;
    attributes.push(
      xmlNames.has(name)
        ? { prefix: 'xml', name: name.slice('xml:'.length), namespace: xmlNamespace, value }
        : { prefix: '', name, namespace: '', value },
    );
  }
  return attributes;
}

/** Reads a string that XML can carry; anything else is a fault. */
export function readString(value: unknown, pointer: string, faults: FaultList): string | undefined {
  if (typeof value !== 'string') {
    faults.add(pointer, `Expected a string, got ${describeJsonValue(value)}.`);
    return undefined;
  }
  const illegal = findIllegalCharacter(value);
  if (illegal === undefined) return value;
  const { name, index } = illegal;
  const wayOut = value[index] === '\x1b' ? ' Remove the colour codes.' : '';
  faults.add(pointer, `XML cannot carry the character ${name} at index ${index}.${wayOut}`);
  return undefined;
}
