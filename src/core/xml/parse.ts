import { type SaxesAttributePlain, SaxesParser, type XMLDecl } from 'saxes';
import { abbreviate, quote } from '../text.ts';
import { findIllegalCharacter } from './names.ts';
import { createXmlTree } from './tree.ts';
import { type Fail, XmlError, type XmlNode } from './xml.ts';

/** What to expect of an XML text. */
export interface XmlParseOptions {
  /** Enforced while parsing, at the first excess; namespace declarations count as attributes. */
  readonly limits: XmlLimits;
  /** The namespace of elements that have neither prefix nor declaration. */
  readonly defaultNamespace: string;
  /** true: elements and text that stand inside a `<message/>`; false: a document. */
  readonly fragment: boolean;
  /** What stands around a fragment and counts too; default: nothing. */
  readonly around?: { readonly elements: number; readonly attributes: number } | undefined;
}

/** The limits that hold for XML, whatever it becomes. */
export interface XmlLimits {
  /** Most nested elements, `<message/>` counted as 1. */
  readonly depth: number;
  /** Most attributes on one element. */
  readonly attributes: number;
  /** Most elements in all, `<message/>` counted. */
  readonly elements: number;
  /** Most attributes in all, namespace declarations counted. */
  readonly totalAttributes: number;
  /** Most bytes of a namespace name, in UTF-8. */
  readonly namespaceBytes: number;
}

/**
 * Deeper trees are refused whatever the operator's limit: ejabberd's VM dies of 2,500 levels, and
 * what walks the tree recurses.
 */
const deepest = 1000;

/** The nodes of an XML text, for a document its root only; throws XmlError. */
export function parseXml(text: string, options: XmlParseOptions): XmlNode[] {
  const illegal = findIllegalCharacter(text);
  if (illegal !== undefined) {
    const line = text.slice(0, illegal.index).split('\n').length;
    throw new XmlError('malformed', '', `line ${line}: ${illegal.name} is no XML character`);
  }
  // Namespaces are done by tree.ts: saxes trims namespace names, joins long ones with each
  // attribute and walks all open elements for each prefix.
  const parser = new SaxesParser({ fragment: options.fragment, position: false });
  const { nodes, refused } = followParser(parser, text, options);
  parser.write(text).close();
  const [first] = refused;
  if (first !== undefined) throw first;
  return nodes;
}

/** What a parser has read; complete when it is closed. */
interface Reading {
  readonly nodes: XmlNode[];
  /** At most one: why the text is refused if it turns out to be well-formed. */
  readonly refused: XmlError[];
}

/** Connects the parser to a tree. */
function followParser(parser: SaxesParser, text: string, options: XmlParseOptions): Reading {
  const { limits } = options;
  const tree = createXmlTree(options, fail);
  const depthAbove = options.fragment ? 1 : 0;
  const maxDepth = Math.min(limits.depth, deepest);
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

  // A message of the parser may hold a name, which may be as long as the body.
  parser.on('error', ({ message }) => fail('malformed', abbreviate(message.replace(/\.$/, ''))));
  parser.on('opentagstart', ({ name }) => {
    attributes = [];
    beingOpened = `/${abbreviate(name)}`;
    if (tree.depth() + depthAbove >= maxDepth) {
      fail('refused', `more than ${maxDepth} nested elements, <message/> counted as 1`);
    }
    count.elements += 1;
    if (count.elements > limits.elements) {
      fail('refused', `more than ${limits.elements} elements in all, <message/> counted`);
    }
  });
  parser.on('attribute', (attribute) => {
    if (attributes.push(attribute) > limits.attributes) {
      fail('refused', `more than ${limits.attributes} attributes on one element`);
    }
    count.attributes += 1;
    if (count.attributes > limits.totalAttributes) {
      const all = 'attributes and namespace declarations in all';
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

  /** Apart, because V8 makes a parser with more than seven listeners five times slower. */
  function listenForRareMarkup(): void {
    parser.on('cdata', (characters) => tree.addText(characters));
    parser.on('xmldecl', (declaration) => checkDeclaration(declaration, fail));
    parser.on('doctype', () => fail('refused', 'document type declarations are refused'));
    parser.on('comment', () => refuseLater('comments are refused'));
    parser.on('processinginstruction', () => refuseLater('processing instructions are refused'));
  }
}

/** XML §2.8; the body has been decoded as UTF-8 before. */
function checkDeclaration({ version, encoding = 'utf-8' }: XMLDecl, fail: Fail): void {
  if (version !== '1.0') {
    fail('malformed', `expected XML version 1.0, got ${quote(version ?? '')}`);
  }
  if (encoding.toLowerCase() !== 'utf-8') {
    fail('malformed', `expected the encoding UTF-8, got ${quote(encoding)}`);
  }
}
