import { GatewayError } from '../errors.ts';
import { createNamespaceScope } from './names.ts';
import {
  clientNamespace,
  componentNamespace,
  qualifiedName,
  type XmlElement,
  xmlNamespace,
} from './xml.ts';

const ofStream: ReadonlyMap<string, string> = new Map([
  ['', componentNamespace],
  ['xml', xmlNamespace],
]);

/**
 * An element of parseXml as a component writes it on its stream: elements of jabber:client without
 * prefix and xmlns, as long as they stand in no payload, all others with what they need. Throws
 * GatewayError `too-large` when it would be longer than `maxBytes`, possibly before its end.
 */
export function serializeElement(root: XmlElement, maxBytes: number): string {
  const scope = createNamespaceScope(ofStream);
  let xml = '';
  write(root, true);
  if (Buffer.byteLength(xml) > maxBytes) throw tooLargeStanza(maxBytes);
  return xml;

  /** The server reads jabber:client into the stream's own namespace, but not inside a payload. */
  function write(element: XmlElement, isOutsidePayload: boolean): void {
    const isContent = isOutsidePayload && element.namespace === clientNamespace;
    const name = isContent ? element.name : qualifiedName(element);
    scope.enter();
    xml += `<${name}`;
    if (!isContent) declare(element.prefix, element.namespace);
    for (const attribute of element.attributes) {
      if (attribute.prefix !== '') declare(attribute.prefix, attribute.namespace);
      xml += ` ${qualifiedName(attribute)}="${escapeAttribute(attribute.value)}"`;
    }
    writeChildren(element, name, isContent);
    scope.leave();
  }

  function writeChildren(element: XmlElement, name: string, isContent: boolean): void {
    // A namespace name is repeated with each sibling: without this, a small body makes gigabytes.
    if (xml.length > maxBytes) throw tooLargeStanza(maxBytes);
    if (element.children.length === 0) {
      xml += '/>';
      return;
    }
    xml += '>';
    for (const child of element.children) {
      if (typeof child === 'string') xml += escapeText(child);
      else write(child, isContent);
    }
    xml += `</${name}>`;
  }

  function declare(prefix: string, namespace: string): void {
    if (scope.resolve(prefix) === namespace) return;
    scope.declare(prefix, namespace);
    xml += ` ${prefix === '' ? 'xmlns' : `xmlns:${prefix}`}="${escapeAttribute(namespace)}"`;
  }
}

function tooLargeStanza(maxBytes: number): GatewayError {
  return tooLarge(
    `The stanza is larger than ${maxBytes} bytes, which is the limit of this gateway.`,
  );
}

/** The problem of a message that is over a limit on size. */
export function tooLarge(detail: string): GatewayError {
  return new GatewayError('too-large', detail);
}

const textReferences: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\r': '&#xD;',
};
const textSpecials = Object.keys(textReferences);
const attributeReferences: Readonly<Record<string, string>> = {
  ...textReferences,
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#x9;',
  '\n': '&#xA;',
};

/** Text as it may stand in an element; a raw CR would be read as LF (XML §2.11). */
export function escapeText(text: string): string {
  // In a long text, four searches of one character are 20 times faster than one for a class.
  if (!textSpecials.some((special) => text.includes(special))) return text;
  return text.replace(/[&<>\r]/g, (character) => textReferences[character] ?? character);
}

/** Text as it may stand between quotes; raw white space would be read as spaces (XML §3.3.3). */
export function escapeAttribute(value: string): string {
  if (!/[&<>"'\t\n\r]/.test(value)) return value;
  return value.replace(
    /[&<>"'\t\n\r]/g,
    (character) => attributeReferences[character] ?? character,
  );
}

// XMPP servers turn each element, attribute and text into an object of its own, carry its namespace
// name with it, copy the tree for each recipient and escape it again for each archive. The weights
// are time on Prosody 0.12 with two archives and a carbon copy (npm run siege:costs), in units of the
// bytes of a plain ASCII text; ejabberd takes less for everything.

const perElement = 768;
const perAttribute = 256;
const perText = 256;

/**
 * By ASCII code. Prosody's parser hands over each line end and each reference on its own, and so the
 * text between two of them.
 */
const weights = createWeights();

function createWeights(): Uint8Array {
  const table = new Uint8Array(128).fill(1);
  table.fill(3, 0, 0x20);
  for (const [characters, weight] of [
    [`"'\\\x7f`, 3],
    ['&<>\r\n', 8],
  ] as const) {
    for (const character of characters) table[character.charCodeAt(0)] = weight;
  }
  return table;
}

/** A byte outside ASCII counts three times: archives escape it. */
function measureText(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80) bytes += weights[code] ?? 1;
    else if (code < 0x800) bytes += 6;
    // Half of a pair is two bytes of four.
    else bytes += code >= 0xd800 && code < 0xe000 ? 6 : 9;
  }
  return bytes;
}

/**
 * What an element costs a server, in bytes: each element with its namespace name, each attribute and
 * text, with a fixed part for the object that it becomes. Computed without building any of it.
 */
export function measureExpanded(element: XmlElement): number {
  let bytes = perElement + 2 * Buffer.byteLength(element.name);
  bytes += Buffer.byteLength(element.namespace);
  for (const { name, namespace, value } of element.attributes) {
    // Prosody writes both the declaration and a name that holds the namespace.
    const nameBytes = Buffer.byteLength(name) + Buffer.byteLength(namespace);
    bytes += perAttribute + 2 * nameBytes + measureText(value);
  }
  for (const child of element.children) {
    bytes += typeof child === 'string' ? perText + measureText(child) : measureExpanded(child);
  }
  return bytes;
}
