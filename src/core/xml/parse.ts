import { type SaxesAttributePlain, SaxesParser, type XMLDecl } from 'saxes';
import { abbreviate, describePlace, quote } from '../text.ts';
import { findXmlFault } from './fault.ts';
import { findIllegalCharacter } from './names.ts';
import { copyNodes, createXmlTree } from './tree.ts';
import { type Fail, XmlError, type XmlNode } from './xml.ts';

/** What kind of XML to expect, and how much of it. */
export interface XmlParseOptions {
  /** Enforced while parsing; namespace declarations count as attributes. */
  readonly limits: XmlLimits;
  /** The namespace of elements that have neither prefix nor declaration. */
  readonly defaultNamespace: string;
  /** true: the content of a `<message/>`; false: a document. */
  readonly fragment: boolean;
  /** What surrounds a fragment and counts towards the limits; default: nothing. */
  readonly around?: { readonly elements: number; readonly attributes: number } | undefined;
}

/** Limits on the XML of a message; all are maximum values. */
export interface XmlLimits {
  /** Nested elements; `<message/>` counts as 1. */
  readonly depth: number;
  /** Attributes of one element. */
  readonly attributes: number;
  /** Elements in total, including `<message/>`. */
  readonly elements: number;
  /** Attributes in total, including namespace declarations. */
  readonly totalAttributes: number;
  /** Length of a namespace name, in bytes of UTF-8. */
  readonly namespaceBytes: number;
}

/**
 * The limit on nesting, whatever the operator has configured: 2,500 levels crash ejabberd's VM, and our
 * own functions recurse over the tree.
 */
const absoluteMaxDepth = 1000;

/**
 * The parts of a text that is no longer than this, in characters, may keep all of it in memory. In a
 * longer one most may be white space that is not part of the message.
 */
const maxSharedLength = 4096;

/** Parses an XML text; the result for a document is its root alone. Throws XmlError. */
export function parseXml(text: string, options: XmlParseOptions): XmlNode[] {
  const illegal = findIllegalCharacter(text);
  if (illegal !== undefined) {
    const place = describePlace(text, illegal.index);
    const detail = `${place}: XML cannot carry the character ${illegal.name}`;
    throw new XmlError('malformed', '', detail);
  }
  // tree.ts resolves namespaces instead of saxes, which trims namespace names, builds a string of
  // namespace and name for every attribute, and walks all open elements for every prefix.
  const parser = new SaxesParser({ fragment: options.fragment, position: false });
  const { nodes, refused } = followParser(parser, text, options);
  parser.write(text).close();
  const [first] = refused;
  if (first !== undefined) throw first;
  return text.length > maxSharedLength ? copyNodes(nodes) : nodes;
}

/** The result of a parser; complete once the parser is closed. */
interface Reading {
  readonly nodes: XmlNode[];
  /** At most one error, thrown only if the text turns out to be well-formed. */
  readonly refused: XmlError[];
}

/** Builds a tree from the parser's events. */
function followParser(parser: SaxesParser, text: string, options: XmlParseOptions): Reading {
  const { limits } = options;
  const tree = createXmlTree(options, fail);
  const depthAbove = options.fragment ? 1 : 0;
  const maxDepth = Math.min(limits.depth, absoluteMaxDepth);
  let attributes: SaxesAttributePlain[] = [];
  const count = { ...(options.around ?? { elements: 0, attributes: 0 }) };
  const refused: XmlError[] = [];
  let beingOpened = '';

  function createError(kind: XmlError['kind'], detail: string): XmlError {
    const place = `line ${parser.line}, column ${parser.column}`;
    return new XmlError(kind, tree.path() + beingOpened, `${place}: ${detail}`);
  }

  function fail(kind: XmlError['kind'], detail: string): never {
    throw createError(kind, detail);
  }

  function refuseLater(detail: string): void {
    if (refused.length === 0) refused.push(createError('refused', detail));
  }

  /** The parser may notice a fault long after its place, and names it in the words of the standard. */
  function failMalformed(message: string): never {
    const fault = findXmlFault(text, options.fragment);
    // If the parser has not come as far as this fault, it has refused something else.
    if (fault === undefined || (fault.index >= parser.position && text !== '')) {
      // The message may quote a name, which may be as long as the body.
      return fail('malformed', abbreviate(message.replace(/\.$/, '')));
    }
    const detail = `${describePlace(text, fault.index)}: ${fault.detail}`;
    throw new XmlError('malformed', tree.path() + beingOpened, detail);
  }

  parser.on('error', ({ message }) => failMalformed(message));
  parser.on('opentagstart', ({ name }) => {
    attributes = [];
    beingOpened = `/${abbreviate(name)}`;
    if (tree.depth() + depthAbove >= maxDepth) {
      fail('refused', `more than ${maxDepth} nested elements (<message/> counts as 1)`);
    }
    count.elements += 1;
    if (count.elements > limits.elements) {
      fail('refused', `more than ${limits.elements} elements in total, including <message/>`);
    }
  });
  parser.on('attribute', (attribute) => {
    if (attributes.push(attribute) > limits.attributes) {
      fail('refused', `more than ${limits.attributes} attributes on one element`);
    }
    count.attributes += 1;
    if (count.attributes > limits.totalAttributes) {
      const all = 'attributes and namespace declarations in total';
      fail('refused', `more than ${limits.totalAttributes} ${all}`);
    }
  });
  parser.on('opentag', ({ name }) => {
    tree.open(name, attributes);
    beingOpened = '';
  });
  parser.on('closetag', () => tree.close());
  parser.on('text', (characters) => tree.addText(characters));
  if (/<[!?]/.test(text)) listenForRareMarkup();
  return { nodes: tree.nodes, refused };

  /** Registered only when needed: with more than seven listeners, a parser is five times slower in V8. */
  function listenForRareMarkup(): void {
    parser.on('cdata', (characters) => tree.addText(characters));
    parser.on('xmldecl', (declaration) => checkDeclaration(declaration, fail));
    parser.on('doctype', () => fail('refused', 'document type declarations are refused'));
    parser.on('comment', () => refuseLater('comments are refused'));
    parser.on('processinginstruction', () => refuseLater('processing instructions are refused'));
  }
}

/** XML §2.8; the body has already been decoded as UTF-8. */
function checkDeclaration({ version, encoding = 'utf-8' }: XMLDecl, fail: Fail): void {
  if (version !== '1.0') {
    fail('malformed', `expected XML version 1.0, got ${quote(version ?? '')}`);
  }
  if (encoding.toLowerCase() !== 'utf-8') {
    fail('malformed', `expected the encoding UTF-8, got ${quote(encoding)}`);
  }
}
