import { type SaxesAttributeNS, SaxesParser } from 'saxes';

/** A parsed element. Two are equal if their infosets are. */
export interface Node {
  /** Local name. */
  readonly name: string;
  readonly namespace: string;
  /** By local name, or `{namespace}local` if the attribute has a namespace; no declarations. */
  readonly attributes: Record<string, string>;
  /** Adjacent text is one string. */
  readonly children: (Node | string)[];
}

/** A stanza as it was received. */
export interface Stanza {
  /** Its exact text. */
  readonly xml: string;
  readonly root: Node;
}

const xmlNamespace = 'http://www.w3.org/XML/1998/namespace';
const xmlnsNamespace = 'http://www.w3.org/2000/xmlns/';

/** The expanded name of xml:lang in `Node.attributes`. */
export const xmlLang = `{${xmlNamespace}}lang`;

function readAttributes(attributes: Record<string, SaxesAttributeNS>): Record<string, string> {
  return Object.fromEntries(
    Object.values(attributes)
      .filter(({ uri }) => uri !== xmlnsNamespace)
      .map(({ uri, local, value }): [string, string] => [
        uri === '' ? local : `{${uri}}${local}`,
        value,
      ]),
  );
}

interface StreamHandlers {
  /** The stream's own start tag. */
  readonly onHeader?: (header: Node) => void;
  readonly onStanza: (stanza: Stanza) => void;
  /** The stream's end tag. */
  readonly onEnd?: () => void;
}

/** Parses one stream strictly (namespaces included), piece by piece; throws if it is ill-formed. */
export function createStreamParser(handlers: StreamHandlers): (received: string) => void {
  const parser = new SaxesParser({ xmlns: true });
  const open: Node[] = [];
  let raw = '';

  const addText = (added: string): void => {
    const parent = open.at(-1);
    if (parent === undefined || open.length < 2) return;
    const last = parent.children.at(-1);
    if (typeof last === 'string') parent.children[parent.children.length - 1] = last + added;
    else parent.children.push(added);
  };
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('opentag', (tag) => {
    const attributes = readAttributes(tag.attributes);
    const node: Node = { name: tag.local, namespace: tag.uri, attributes, children: [] };
    if (open.length > 1) open.at(-1)?.children.push(node);
    open.push(node);
    if (open.length > 1) return;
    raw = '';
    handlers.onHeader?.(node);
  });
  parser.on('closetag', () => {
    const node = open.pop();
    if (node === undefined || open.length > 1) return;
    if (open.length === 0) return handlers.onEnd?.();
    const xml = raw.trim();
    raw = '';
    handlers.onStanza({ xml, root: node });
  });
  return (received) => {
    // Cut at each '>', which ends every tag, so that `raw` ends exactly where an element does.
    for (const piece of received.split(/(?<=>)/)) {
      raw += piece;
      parser.write(piece);
    }
  };
}

/** Parses the text of one stanza as part of a stream with that default namespace. */
export function parseStanza(xml: string, defaultNamespace = 'jabber:client'): Node {
  const stanzas: Stanza[] = [];
  const parse = createStreamParser({ onStanza: (stanza) => stanzas.push(stanza) });
  parse(`<s:stream xmlns='${defaultNamespace}' xmlns:s='http://etherx.jabber.org/streams'>`);
  parse(xml);
  parse('</s:stream>');
  const [stanza, ...others] = stanzas;
  if (stanza === undefined || others.length > 0) {
    throw new Error(`expected one stanza, got ${stanzas.length} in ${xml}`);
  }
  return stanza.root;
}

/** All text of an element, in document order. */
export function text(node: Node): string {
  return node.children.map((child) => (typeof child === 'string' ? child : text(child))).join('');
}

/** The direct children of that name, in any namespace unless one is given. */
export function findAll(node: Node, name: string, namespace?: string): Node[] {
  return node.children.filter(
    (child): child is Node =>
      typeof child !== 'string' &&
      child.name === name &&
      (namespace === undefined || child.namespace === namespace),
  );
}

/** The first of `findAll`. */
export function find(node: Node, name: string, namespace?: string): Node | undefined {
  return findAll(node, name, namespace)[0];
}

/** The node without these attributes. */
export function without(node: Node, ...names: readonly string[]): Node {
  const kept = Object.entries(node.attributes).filter(([name]) => !names.includes(name));
  return { ...node, attributes: Object.fromEntries(kept) };
}

const addedByServers = new Set([
  '{urn:xmpp:sid:0}stanza-id',
  '{urn:xmpp:delay}delay',
  '{urn:xmpp:mam:tmp}archived',
]);

/** The stanza without what servers add: xml:lang, stanza-id, delay, archived. */
export function withoutAdditions(node: Node): Node {
  const children = node.children.filter(
    (child) =>
      typeof child === 'string' || !addedByServers.has(`{${child.namespace}}${child.name}`),
  );
  return without({ ...node, children }, xmlLang);
}

/**
 * `withoutAdditions`, and without what ejabberd does not preserve: text directly inside the stanza,
 * and the order of its own elements (body, subject…), which come first here. Apply it to both sides
 * of a comparison.
 */
export function comparable(node: Node): Node {
  const { children, ...others } = withoutAdditions(node);
  const elements = children.filter((child): child is Node => typeof child !== 'string');
  const own = elements.filter(({ namespace }) => namespace === node.namespace);
  const foreign = elements.filter(({ namespace }) => namespace !== node.namespace);
  own.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return { ...others, children: [...own, ...foreign] };
}
