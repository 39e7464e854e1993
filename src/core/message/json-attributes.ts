import { escapePointer, type FaultList } from '../fault-list.ts';
import { quote } from '../quote.ts';
import { isNcName } from '../xml/names.ts';
import { clientNamespace, type XmlAttribute, xmlAttributeNames, xmlNamespace } from '../xml/xml.ts';
import { describeValue, isRecord, readString } from './json-value.ts';

/** The attributes of a map in a JSON body: name as written → value. */
export type AttributeMap = ReadonlyMap<string, string>;

const none: AttributeMap = new Map();

const xmlNames: ReadonlySet<string> = new Set(
  Array.from(xmlAttributeNames, (name) => `xml:${name}`),
);

/** A map of attributes, `xmlns` checked and left out; `pointer` is that of the map. */
export function readAttributeMap(
  map: unknown,
  pointer: string,
  maxAttributes: number,
  faults: FaultList,
): AttributeMap {
  if (map === undefined) return none;
  if (!isRecord(map)) {
    faults.add(pointer, `Expected an object, got ${describeValue(map)}.`);
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

/** A string, finite number or boolean as text. */
function readValue(value: unknown, pointer: string, faults: FaultList): string | undefined {
  if (typeof value === 'string') return readString(value, pointer, faults);
  if (typeof value === 'boolean' || Number.isFinite(value)) return String(value);
  const got = typeof value === 'number' ? 'a number that is too large' : describeValue(value);
  faults.add(pointer, `Expected a string, a finite number or a boolean, got ${got}.`);
  return undefined;
}

/** Is this an attribute to keep? Notes why not, except for the one `xmlns` that means nothing. */
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
    ? `Expected a name without colon or one of ${[...xmlNames].join(', ')}, got ${quote(name)}.`
    : `The name ${quote(name)} is not valid in XML 1.0 4th edition.`;
}

/** The attributes as they stand on an element. */
export function buildAttributes(map: AttributeMap): XmlAttribute[] {
  return Array.from(map, ([name, value]) =>
    xmlNames.has(name)
      ? { prefix: 'xml', name: name.slice('xml:'.length), namespace: xmlNamespace, value }
      : { prefix: '', name, namespace: '', value },
  );
}
