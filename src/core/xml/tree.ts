import { abbreviate, copyText, quote } from '../text.ts';
import {
  createNamespaceScope,
  isFifthEditionNcName,
  isNcName,
  type NamespaceScope,
} from './names.ts';
import {
  type Fail,
  qualifiedName,
  type XmlAttribute,
  type XmlElement,
  type XmlNode,
  xmlNamespace,
  xmlnsNamespace,
} from './xml.ts';

/** An attribute as written, before its name is resolved. */
interface RawAttribute {
  readonly name: string;
  readonly value: string;
}

interface QName {
  readonly prefix: string;
  readonly name: string;
}

interface OpenElement extends XmlElement {
  readonly children: XmlNode[];
}

/** Builds elements from a parser's events and resolves their namespaces (Namespaces in XML 1.0). */
export interface XmlTree {
  readonly nodes: XmlNode[];
  open(name: string, attributes: readonly RawAttribute[]): void;
  close(): void;
  addText(text: string): void;
  /** The number of open elements. */
  depth(): number;
  /** The path of the open elements, such as `/message/body`. */
  path(): string;
}

/** Creates an empty tree; calls `fail` for invalid names. */
export function createXmlTree(
  options: {
    readonly defaultNamespace: string;
    readonly fragment: boolean;
    readonly limits: { readonly namespaceBytes: number };
  },
  fail: Fail,
): XmlTree {
  const { defaultNamespace, fragment } = options;
  const { namespaceBytes } = options.limits;
  const initial = new Map([
    ['', defaultNamespace],
    ['xml', xmlNamespace],
  ]);
  const scope = createNamespaceScope(initial);
  const nodes: XmlNode[] = [];
  const openElements: OpenElement[] = [];

  return {
    nodes,
    open(name, attributes) {
      const isRoot = !fragment && openElements.length === 0;
      scope.enter();
      declareAll(scope, attributes, namespaceBytes, fail);
      // A root without a namespace gets the default one, even if it says xmlns=''.
      if (isRoot && scope.resolve('') === '') scope.declare('', defaultNamespace);
      const element = buildElement(splitName(name, fail), attributes);
      (openElements.at(-1)?.children ?? nodes).push(element);
      openElements.push(element);
    },
    close() {
      openElements.pop();
      scope.leave();
    },
    addText(text) {
      const siblings = openElements.at(-1)?.children ?? (fragment ? nodes : undefined);
      // The text is '' for an empty CDATA section.
      if (siblings === undefined || text === '') return;
      const last = siblings.at(-1);
      if (typeof last === 'string') siblings[siblings.length - 1] = last + text;
      else siblings.push(text);
    },
    depth: () => openElements.length,
    path: () => openElements.map((element) => `/${abbreviate(qualifiedName(element))}`).join(''),
  };

  function buildElement({ prefix, name }: QName, attributes: readonly RawAttribute[]): OpenElement {
    const namespace = resolve(prefix);
    return { prefix, name, namespace, attributes: readAttributes(attributes), children: [] };
  }

  function resolve(prefix: string): string {
    return (
      scope.resolve(prefix) ??
      fail(
        'malformed',
        `the prefix ${quote(prefix)} is not declared: no xmlns:${abbreviate(prefix)}="…"`,
      )
    );
  }

  function readAttributes(attributes: readonly RawAttribute[]): XmlAttribute[] {
    const read: XmlAttribute[] = [];
    for (const { name, value } of attributes) {
      if (isDeclaration(name)) continue;
      const { prefix, name: local } = splitName(name, fail);
      const namespace = prefix === '' ? '' : resolve(prefix);
      read.push({ prefix, name: local, namespace, value });
    }
    refuseEqualNames(read, fail);
    return read;
  }
}

function isDeclaration(name: string): boolean {
  return name === 'xmlns' || name.startsWith('xmlns:');
}

/** Namespaces in XML 1.0 §4: both parts of a name are names without colon. */
function splitName(text: string, fail: Fail): QName {
  const colon = text.indexOf(':');
  const prefix = colon === -1 ? '' : text.slice(0, colon);
  const name = text.slice(colon + 1);
  if (colon !== -1) checkNcName(prefix, fail);
  checkNcName(name, fail);
  return { prefix, name };
}

function checkNcName(name: string, fail: Fail): void {
  if (isNcName(name)) return;
  if (isFifthEditionNcName(name)) {
    fail('refused', `XMPP servers do not know all letters of the name ${quote(name)}`);
  }
  fail('malformed', `the name ${quote(name)} is not valid`);
}

function declareAll(
  scope: NamespaceScope,
  attributes: readonly RawAttribute[],
  maxBytes: number,
  fail: Fail,
): void {
  for (const { name, value } of attributes) {
    if (!isDeclaration(name)) continue;
    const prefix = name === 'xmlns' ? '' : splitName(name, fail).name;
    checkDeclaration(prefix, value, fail);
    const bytes = Buffer.byteLength(value);
    if (bytes > maxBytes) {
      fail('refused', `a namespace name of ${bytes} bytes, more than ${maxBytes}: ${quote(value)}`);
    }
    scope.declare(prefix, value);
  }
}

/** Namespaces in XML 1.0 §2.2, §3. */
function checkDeclaration(prefix: string, namespace: string, fail: Fail): void {
  const isXml = prefix === 'xml' && namespace === xmlNamespace;
  const isReserved = namespace === xmlNamespace || namespace === xmlnsNamespace;
  if (!isXml && (isReserved || prefix === 'xml' || prefix === 'xmlns')) {
    fail('refused', 'the prefixes xml and xmlns and their namespaces cannot be redeclared');
  }
  if (prefix !== '' && namespace === '') {
    fail('refused', `the prefix ${quote(prefix)} is declared with an empty namespace name`);
  }
  // ejabberd would close the stream.
  if (/[\t\n\r]/.test(namespace)) {
    fail(
      'refused',
      `the namespace name ${quote(namespace)} contains white-space control characters`,
    );
  }
  // Some parsers trim the name: nothing is left of this one, and the recipient's stream breaks.
  if (namespace !== '' && namespace.trim() === '') {
    fail('refused', `the namespace name ${quote(namespace)} is only white space`);
  }
}

/** Namespaces in XML 1.0 §6.3; the parser itself refuses names that are written alike. */
function refuseEqualNames(attributes: readonly XmlAttribute[], fail: Fail): void {
  if (attributes.length < 2) return;
  const prefixed = attributes.filter(({ prefix }) => prefix !== '');
  if (prefixed.length < 2) return;
  const namespaces = new Map<string, Set<string>>();
  for (const { name, namespace } of prefixed) {
    const seen = namespaces.get(name) ?? new Set();
    if (seen.has(namespace)) {
      fail('malformed', `two attributes have the name ${quote(name)} in one namespace`);
    }
    namespaces.set(name, seen.add(namespace));
  }
}

/** Copies nodes whose strings are parts of a longer text, so that they do not keep it in memory. */
export function copyNodes(nodes: readonly XmlNode[]): XmlNode[] {
  const copies = new Map<string, string>();
  const copy = (name: string): string => {
    const found = copies.get(name) ?? copyText(name);
    copies.set(name, found);
    return found;
  };
  const copyElement = ({
    prefix,
    name,
    namespace,
    attributes,
    children,
  }: XmlElement): XmlElement => ({
    prefix: copy(prefix),
    name: copy(name),
    namespace: copy(namespace),
    attributes: attributes.map((attribute) => ({
      prefix: copy(attribute.prefix),
      name: copy(attribute.name),
      namespace: copy(attribute.namespace),
      value: copyText(attribute.value),
    })),
    children: children.map(copyNode),
  });
  const copyNode = (node: XmlNode): XmlNode =>
    typeof node === 'string' ? copyText(node) : copyElement(node);
  return nodes.map(copyNode);
}
