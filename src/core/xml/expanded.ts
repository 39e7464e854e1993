import type { XmlElement } from './xml.ts';

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

/** A byte outside ASCII counts twice: archives escape it. */
function measureText(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80) bytes += weights[code] ?? 1;
    else if (code < 0x800) bytes += 4;
    // Half of a pair is two bytes of four.
    else bytes += code >= 0xd800 && code < 0xe000 ? 4 : 6;
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
