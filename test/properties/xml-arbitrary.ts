import * as fc from 'fast-check';
import {
  anyAddress,
  anyText,
  badNames,
  carriedText,
  goodNames,
  mutated,
} from './text-arbitrary.ts';

const xmlNamespace = 'http://www.w3.org/XML/1998/namespace';

const payloadNamespaces = [
  'urn:a',
  'urn:b',
  'jabber:client',
  'jabber:x:oob',
  'urn:a&b',
  'urn:\'q"',
  'urn:x y',
  ' urn:a ',
  'urn:xmpp:carbons:2',
  'urn:xmpp:mam:2',
  'urn:\u00e9😀',
  `urn:${'n'.repeat(3000)}`,
];
const refusedNamespaces = [
  'jabber:component:accept',
  'jabber:server',
  'http://etherx.jabber.org/streams',
  xmlNamespace,
  'http://www.w3.org/2000/xmlns/',
  'urn:a\nb',
  'urn:a\tb',
  'urn:xmpp:privilege:2',
  'urn:xmpp:delegation:2',
  'http://jabber.org/protocol/pubsub#event',
];

/** Mostly values of the first list, rarely of the second. */
function often(usual: readonly string[], unusual: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...unusual) },
  );
}

const names = often(goodNames, [...badNames, 'received', 'sent', 'result', 'event', 'privilege']);
const namespaces = often(payloadNamespaces, refusedNamespaces);
const prefixes = ['p', 'q', 'stream', 'c', 'xmlnsx', '_', 'é'];

/** An element before its prefixes are chosen from those in scope. */
interface Sketch {
  readonly declarations: readonly (readonly [prefix: string, namespace: string])[];
  readonly choice: number;
  readonly name: string;
  readonly attributes: readonly (readonly [choice: number, name: string, value: string])[];
  readonly children: readonly (Sketch | string)[];
  /** How deep it is nested in itself. */
  readonly levels: number;
}

const declaration = fc.oneof(
  { weight: 30, arbitrary: fc.tuple(fc.constantFrom(...prefixes), namespaces) },
  { weight: 20, arbitrary: fc.tuple(fc.constant(''), fc.oneof(namespaces, fc.constant(''))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...([
        ['xml', xmlNamespace],
        ['xml', 'urn:a'],
        ['xmlns', 'urn:a'],
        ['p', ''],
      ] as const),
    ),
  },
);

const { sketch } = fc.letrec<{ sketch: Sketch }>((tie) => ({
  sketch: fc.record({
    declarations: fc.uniqueArray(declaration, { maxLength: 2, selector: ([prefix]) => prefix }),
    choice: fc.nat({ max: 99 }),
    name: names,
    attributes: fc.uniqueArray(fc.tuple(fc.nat({ max: 99 }), names, carriedText), {
      maxLength: 3,
      selector: ([, name]) => name,
    }),
    children: fc.array(
      fc.oneof({ depthSize: 'small' }, fc.oneof(carriedText, carriedText, anyText), tie('sketch')),
      { maxLength: 3 },
    ),
    levels: fc.oneof(
      { weight: 40, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.constantFrom(20, 31, 33, 3000) },
    ),
  }),
}));

/** Elements as callers may write them; some are refused, some are not even well-formed. */
const element = sketch.map((tree) => render(tree, ['']));

function render(tree: Sketch, outer: readonly string[]): string {
  const inner = [...new Set([...outer, ...tree.declarations.map(([prefix]) => prefix)])];
  const name = qualify(choose(inner, tree.choice), tree.name);
  const attributes = [
    ...tree.declarations.map(([prefix, namespace]) =>
      write(prefix === '' ? 'xmlns' : `xmlns:${prefix}`, namespace),
    ),
    ...tree.attributes.map(([choice, local, value]) =>
      ['lang', 'id'].includes(local)
        ? write(`xml:${local}`, value)
        : write(qualify(choose(inner, choice), local), value),
    ),
  ].join('');
  const children = tree.children.map((child) =>
    typeof child === 'string' ? escapeSome(child) : render(child, inner),
  );
  if (children.length === 0 && tree.levels === 1) return `<${name}${attributes}/>`;
  const start = `<${name}${attributes}>`.repeat(tree.levels);
  return `${start}${children.join('')}${`</${name}\n>`.repeat(tree.levels)}`;
}

/** A declared prefix; rarely another one. */
function choose(declared: readonly string[], choice: number): string {
  if (choice === 99) return 'undeclared';
  if (choice === 98) return 'xml';
  return declared[choice % declared.length] ?? '';
}

function qualify(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}:${name}`;
}

/** Some white space stays raw so that a parser has to normalise it. */
function write(name: string, value: string): string {
  const escaped = value.replaceAll('&', '&#38;').replaceAll('<', '&lt;');
  return value.length % 2 === 0
    ? ` ${name}="${escaped.replaceAll('"', '&#x22;').replaceAll('\n', '&#10;')}"`
    : `\n${name} = '${escaped.replaceAll("'", '&apos;').replaceAll('\t', '&#9;').replaceAll('\r', '&#xD;')}'`;
}

function escapeSome(value: string): string {
  if (value.length % 3 === 0 && !value.includes(']]>')) return `<![CDATA[${value}]]>`;
  const escaped = value.replaceAll('&', '&amp;').replaceAll('<', '&#x3C;');
  return escaped.replaceAll(']]>', ']]&gt;').replaceAll('😀', '&#x1F600;');
}

const harmless = [
  'a',
  'é',
  '😀',
  ' ',
  '\t',
  '\n',
  '\r\n',
  '&amp;',
  '&#13;',
  '&#xA;',
  '<a/>',
  '<![CDATA[<&]]>',
];
const pieces = [
  '<',
  '>',
  '&',
  '"',
  "'",
  '/>',
  '</',
  '<a>',
  '</a>',
  '<x',
  "='1'",
  ' a="1"',
  ' xmlns=""',
  ']]>',
  ' xmlns="urn:a"',
  ' xmlns:p="urn:p"',
  'p:',
  'xml:',
  '&lt;',
  '&#0;',
  '&#xD800;',
  '&#x10FFFF;',
  '<!--',
  '-->',
  '<?x?>',
  '<![CDATA[',
  '<!DOCTYPE a>',
  '&nbsp;',
  '\ud800',
  '\u0000',
  '\r',
  '\u0370',
];

/** Elements that every message may have; text of all kinds is what they are for. */
const ownElement = fc
  .tuple(fc.constantFrom('body', 'subject'), anyText)
  .map(([name, text]) => `<${name}>${escapeSome(text)}</${name}>`);

/** Any number of elements, with text between them. */
const fragment = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: element },
    { weight: 1, arbitrary: ownElement },
    { weight: 1, arbitrary: fc.constantFrom(' ', '\n\t', '&#13;') },
  ),
  { maxLength: 3 },
);

/** A value for `extra_elements`. */
export const extraElements = fc.oneof(
  { weight: 8, arbitrary: fragment.map((all) => all.join('')) },
  {
    weight: 2,
    arbitrary: mutated(
      fragment.map((all) => all.join('')),
      harmless,
      pieces,
    ),
  },
  { weight: 1, arbitrary: anyText },
);

const beginnings = often(
  ['', '', '\ufeff', "<?xml version='1.0'?>", '\n'],
  [
    "<?xml version='1.0' encoding='ISO-8859-1'?>",
    "<?xml version='1.1'?>",
    "<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n",
    '<!DOCTYPE message>',
    ' <?xml version="1.0"?>',
  ],
);

const rootAttributes = fc.uniqueArray(
  fc.oneof(
    fc.tuple(fc.constant('id'), carriedText),
    fc.tuple(fc.constant('from'), anyText),
    fc.tuple(
      fc.constant('type'),
      often(['chat', 'normal', 'headline', 'groupchat'], ['error', '']),
    ),
    fc.tuple(fc.constant('xml:lang'), carriedText),
    fc.tuple(fc.constant('xmlns'), often(['jabber:client', ''], ['urn:a', 'jabber:server'])),
    fc.tuple(names, carriedText),
  ),
  { maxLength: 4, selector: ([name]) => name },
);

/** A message as a client would send it, mostly a good one. */
export const messageXml = fc
  .tuple(beginnings, anyAddress, rootAttributes, fragment)
  .map(([beginning, to, attributes, children]) => {
    const written = attributes.map(([name, value]) => write(name, value)).join('');
    return `${beginning}<message${write('to', to)}${written}>${children.join('')}</message>\n`;
  });

/** Such a message after random changes. */
export const mutatedXml = mutated(messageXml, harmless, pieces);
