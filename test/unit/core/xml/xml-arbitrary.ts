import * as fc from 'fast-check';

/** An element before its names are resolved against the declarations around it. */
interface Sketch {
  readonly declarations: readonly (readonly [prefix: string, namespace: string])[];
  readonly prefixChoice: number;
  readonly name: string;
  readonly attributes: readonly {
    readonly prefixChoice: number;
    readonly name: string;
    readonly value: string;
  }[];
  readonly children: readonly (Sketch | string)[];
}

const namespaces = [
  'jabber:client',
  'urn:a',
  'urn:b',
  'urn:a&b',
  'urn:\'quoted"',
  'urn:x y',
  'http://jabber.org/protocol/chatstates',
];
const names = ['body', 'message', 'x', 'a', 'lang', 'é', 'to', '_-.1', 'xmlnsfoo'];
const characters = ['a', ' ', '\n', '\t', '\r', '"', "'", '<', '>', '&', ']]>', 'é', '€', '😀'];

const declaration = fc.oneof(
  fc.tuple(fc.constantFrom('p', 'q', 'c', 'stream'), fc.constantFrom(...namespaces)),
  fc.tuple(fc.constant(''), fc.constantFrom('', ...namespaces)),
);
const text = fc.array(fc.constantFrom(...characters), { maxLength: 6 }).map((all) => all.join(''));

const { sketch } = fc.letrec<{ sketch: Sketch }>((tie) => ({
  sketch: fc.record({
    declarations: fc.uniqueArray(declaration, { maxLength: 3, selector: ([prefix]) => prefix }),
    prefixChoice: fc.nat({ max: 9 }),
    name: fc.constantFrom(...names),
    attributes: fc.array(
      fc.record({
        prefixChoice: fc.nat({ max: 9 }),
        name: fc.constantFrom(...names),
        value: text,
      }),
      { maxLength: 3 },
    ),
    children: fc.array(fc.oneof({ depthSize: 'small' }, text, tie('sketch')), { maxLength: 4 }),
  }),
}));

/** The text of a namespace-well-formed element, in jabber:client or another namespace. */
export const xmlElement = sketch.map((tree) => render(tree, new Map([['', 'jabber:client']])));

function render(tree: Sketch, outer: ReadonlyMap<string, string>): string {
  const scope = new Map([...outer, ...tree.declarations]);
  const prefixes = ['', '', ...[...scope.keys()].filter((prefix) => prefix !== ''), 'xml'];
  const name = qualify(choose(prefixes, tree.prefixChoice), tree.name);
  const attributes = new Map<string, string>();
  for (const attribute of tree.attributes) {
    const prefix = choose(prefixes, attribute.prefixChoice);
    const expanded = `${prefix === '' ? '' : scope.get(prefix)} ${attribute.name}`;
    attributes.set(expanded, ` ${qualify(prefix, attribute.name)}=${quoted(attribute.value)}`);
  }
  const declarations = tree.declarations.map(
    ([prefix, namespace]) => ` ${prefix === '' ? 'xmlns' : `xmlns:${prefix}`}=${quoted(namespace)}`,
  );
  const start = `${name}${declarations.join('')}${[...attributes.values()].join('')}`;
  const children = tree.children.map((child) =>
    typeof child === 'string' ? escapeSome(child) : render(child, scope),
  );
  return children.length === 0 ? `<${start}/>` : `<${start}>${children.join('')}</${name}>`;
}

function choose(prefixes: readonly string[], choice: number): string {
  return prefixes[choice % prefixes.length] ?? '';
}

function qualify(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}:${name}`;
}

/** Some white space stays raw, so that a parser has to normalise it. */
function quoted(value: string): string {
  const escaped = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('\r', '&#13;');
  return value.length % 2 === 0
    ? `"${escaped.replaceAll('"', '&#x22;').replaceAll('\n', '&#10;')}"`
    : `'${escaped.replaceAll("'", '&apos;').replaceAll('\t', '&#9;')}'`;
}

function escapeSome(value: string): string {
  if (value.length % 3 === 0 && !value.includes(']]>')) return `<![CDATA[${value}]]>`;
  return value.replaceAll('&', '&amp;').replaceAll('<', '&#60;').replaceAll(']]>', ']]&gt;');
}
