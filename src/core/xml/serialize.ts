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
 * Serialises an element for a component stream. Outside payloads, elements in jabber:client get neither
 * prefix nor xmlns; all others get the declarations that they need. Throws GatewayError `too-large` as
 * soon as the result is known to exceed `maxBytes`.
 */
export function serializeElement(root: XmlElement, maxBytes: number): string {
  const scope = createNamespaceScope(ofStream);
  let xml = '';
  write(root, true);
  if (Buffer.byteLength(xml) > maxBytes) throw tooLargeStanza(maxBytes);
  return xml;

  /** Servers treat the stream's own namespace as jabber:client, but not inside a payload. */
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
    // Siblings repeat a namespace name: without this check, a small body could expand to gigabytes.
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

/** Creates the error for a message over a size limit. */
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

/** Escapes text for element content; a raw CR would be read as LF (XML §2.11). */
export function escapeText(text: string): string {
  // For a long text, four searches for one character are 20 times faster than one for a class.
  if (!textSpecials.some((special) => text.includes(special))) return text;
  return text.replace(/[&<>\r]/g, (character) => textReferences[character] ?? character);
}

/** Escapes an attribute value; raw tabs and line ends would be read as spaces (XML §3.3.3). */
export function escapeAttribute(value: string): string {
  if (!/[&<>"'\t\n\r]/.test(value)) return value;
  return value.replace(
    /[&<>"'\t\n\r]/g,
    (character) => attributeReferences[character] ?? character,
  );
}

// XMPP servers make an object of each element, attribute and text, each with its namespace name, copy
// the tree for each recipient and escape it again for each archive. The weights were measured as time
// on Prosody 0.12 with two archives and a carbon copy (npm run siege:costs); the unit is a byte of plain
// ASCII text. ejabberd needs less time for all of these.

const perElement = 768;
const perAttribute = 256;
const perText = 256;

/**
 * By ASCII code. Line ends and references weigh more because Prosody's parser reports each of them, and
 * each text between them, separately.
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

/** Bytes of other than ASCII characters count three times because archives escape them. */
function measureText(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80) bytes += weights[code] ?? 1;
    else if (code < 0x800) bytes += 6;
    // Each half of a surrogate pair stands for two of four bytes.
    else bytes += code >= 0xd800 && code < 0xe000 ? 6 : 9;
  }
  return bytes;
}

/** The most that measureText can give, without a look at each character. */
function boundText(text: string): number {
  return 9 * text.length;
}

/**
 * Estimates what an element costs a server, in bytes: each element with its namespace name, each
 * attribute and each text, plus a fixed part for the object that it becomes there.
 */
export function measureExpanded(element: XmlElement): number {
  return measure(element, measureText);
}

/** Returns at least what measureExpanded does, in a time that does not depend on the length of texts. */
export function boundExpanded(element: XmlElement): number {
  return measure(element, boundText);
}

function measure(element: XmlElement, weigh: (text: string) => number): number {
  let bytes = perElement + 2 * Buffer.byteLength(element.name);
  bytes += Buffer.byteLength(element.namespace);
  for (const { name, namespace, value } of element.attributes) {
    // Prosody writes both a declaration and a name that includes the namespace.
    const nameBytes = Buffer.byteLength(name) + Buffer.byteLength(namespace);
    bytes += perAttribute + 2 * nameBytes + weigh(value);
  }
  for (const child of element.children) {
    bytes += typeof child === 'string' ? perText + weigh(child) : measure(child, weigh);
  }
  return bytes;
}
