import { type SaxesAttributeNS, SaxesParser } from 'saxes';

/** An element as a namespace-aware reader sees it: without prefixes and declarations. */
export interface Infoset {
  readonly name: string;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly children: readonly (Infoset | string)[];
}

interface OpenInfoset extends Infoset {
  readonly children: (Infoset | string)[];
}

/** Reads a document with the namespaces of saxes, not with ours; names are `{namespace}local`. */
export function readInfoset(text: string): Infoset {
  const parser = new SaxesParser({ xmlns: true });
  const document: OpenInfoset = { name: '', attributes: [], children: [] };
  const open = [document];
  const addText = (characters: string): void => {
    const { children } = open.at(-1) ?? document;
    const last = children.at(-1);
    if (typeof last === 'string') children[children.length - 1] = last + characters;
    else if (characters !== '') children.push(characters);
  };
  parser.on('opentag', ({ uri, local, attributes }) => {
    const all: SaxesAttributeNS[] = Object.values(attributes);
    const element: OpenInfoset = {
      name: `{${uri}}${local}`,
      attributes: all
        .filter(({ prefix, name }) => prefix !== 'xmlns' && name !== 'xmlns')
        .map((attribute) => [`{${attribute.uri}}${attribute.local}`, attribute.value] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
      children: [],
    };
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => open.pop());
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.write(text).close();
  const root = document.children.find((child) => typeof child !== 'string');
  if (root === undefined) throw new Error('a document without root');
  return root;
}

const component = 'jabber:component:accept';

/** A stanza as a server reads it from a component's stream, whose namespace it treats as jabber:client. */
export function readFromStream(xml: string): Infoset {
  const stream = readInfoset(
    `<stream:stream xmlns='${component}' xmlns:stream='http://etherx.jabber.org/streams'>${xml}</stream:stream>`,
  );
  const [stanza, ...others] = stream.children;
  if (stanza === undefined || typeof stanza === 'string' || others.length > 0) {
    throw new Error(`expected one element, got ${xml}`);
  }
  return asContent(stanza);
}

/** The stream's namespace must not occur inside a payload; outside, it means jabber:client. */
function asContent(element: Infoset): Infoset {
  if (!element.name.startsWith(`{${component}}`)) {
    if (/\{jabber:component:accept\}/.test(JSON.stringify(element))) throw new Error('a leak');
    if (element.name.startsWith('{jabber:client}')) throw new Error('not taken for content');
    return element;
  }
  return {
    ...element,
    name: element.name.replace(component, 'jabber:client'),
    children: element.children.map((child) =>
      typeof child === 'string' ? child : asContent(child),
    ),
  };
}
