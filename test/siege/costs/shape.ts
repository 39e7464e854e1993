/** Texts that cost parsers and archives more than letters do. */
const characters = {
  letters: 'x',
  lines: '\n',
  alternating: 'x\n',
  ampersands: '&amp;',
  references: 'x&amp;',
  returns: '&#13;',
  quotes: '"',
  backslashes: '\\',
  latin: 'é',
  emoji: '😀',
  sections: '<![CDATA[x]]>',
} as const;

export type Text = keyof typeof characters;

/** A message, described by what it repeats. Lengths are in bytes. */
export interface Shape {
  /** Where namespaces are declared; nowhere: everything is in jabber:client. */
  readonly declared: 'outside' | 'prefix' | 'each' | 'nowhere';
  readonly namespace: number;
  readonly name: number;
  /** Of each element. */
  readonly attributes: number;
  readonly attributeName: number;
  readonly value: number;
  /** 0: attributes without prefix. */
  readonly attributeNamespace: number;
  readonly text: Text;
  /** Of each innermost element. */
  readonly textLength: number;
  /** Nesting levels of the repeated part. */
  readonly depth: number;
  /** White space between elements. */
  readonly space: number;
  /** Length of `<body/>`, in the same characters; the repeated part gets the rest. */
  readonly body: number;
}

/** The values of each dimension. */
export const dimensions: { readonly [K in keyof Shape]: readonly Shape[K][] } = {
  declared: ['outside', 'prefix', 'each', 'nowhere'],
  namespace: [1, 5, 30, 100, 255, 512, 1000, 8000, 60_000],
  name: [1, 4, 30, 200, 2000, 20_000],
  attributes: [0, 1, 2, 3, 5, 10, 30, 256],
  attributeName: [2, 10, 100, 1000],
  value: [0, 1, 10, 100, 1000, 30_000],
  attributeNamespace: [0, 0, 5, 100, 1000, 20_000],
  text: [
    'letters',
    'lines',
    'alternating',
    'ampersands',
    'references',
    'returns',
    'quotes',
    'backslashes',
    'latin',
    'emoji',
    'sections',
  ],
  textLength: [0, 1, 10, 100, 1000, 30_000, 240_000],
  depth: [1, 2, 5, 15, 29],
  space: [0, 0, 1, 10],
  body: [1, 1, 20_000, 60_000, 100_000, 140_000, 180_000, 220_000, 250_000],
};

/** The cheapest value of each dimension. */
export const plainest: Shape = {
  declared: 'outside',
  namespace: 5,
  name: 1,
  attributes: 0,
  attributeName: 2,
  value: 0,
  attributeNamespace: 0,
  text: 'letters',
  textLength: 0,
  depth: 1,
  space: 0,
  body: 1,
};

/** The shape without the dimensions that have no effect in it. */
export function describeShape(shape: Shape): string {
  return Object.entries(shape)
    .filter(([key, value]) => key === 'declared' || value !== Object(plainest)[key])
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

function fill(start: string, length: number): string {
  return start + 'n'.repeat(Math.max(0, length - start.length));
}

function repeatText(text: Text, length: number): string {
  const piece = characters[text];
  return piece.repeat(Math.floor(length / Buffer.byteLength(piece)));
}

function attributesOf({ attributes, attributeName, value, attributeNamespace }: Shape): string {
  const prefix = attributeNamespace > 0 ? 'q:' : '';
  return Array.from(
    { length: attributes },
    (_, index) => ` ${prefix}${fill(`a${index}`, attributeName)}="${'v'.repeat(value)}"`,
  ).join('');
}

/** The repeated part: nested elements with text in the innermost. */
function buildUnit(shape: Shape): string {
  const { declared, depth, text, textLength, space } = shape;
  const tag = `${declared === 'prefix' ? 'p:' : ''}${fill('e', shape.name)}`;
  const inside = repeatText(text, textLength);
  const attributes = attributesOf(shape);
  const open = (level: number): string => {
    const own = declared === 'each' ? ` xmlns="${fill(`u${level}`, shape.namespace)}"` : '';
    return `<${tag}${own}${attributes}`;
  };
  let unit = inside === '' ? `${open(depth)}/>` : `${open(depth)}>${inside}</${tag}>`;
  for (let level = depth - 1; level > 0; level--) unit = `${open(level)}>${unit}</${tag}>`;
  return unit + ' '.repeat(space);
}

/** A shape that can be repeated as often as fits. */
export interface Payload {
  /** Repeats it as often as fits into `bytes`, including the text around it. */
  readonly mostRepeats: (bytes: number) => number;
  readonly build: (repeats: number) => string;
}

export function createPayload(shape: Shape): Payload {
  const unit = buildUnit(shape);
  const { declared, namespace, attributeNamespace } = shape;
  const own = { outside: ' xmlns=', prefix: ' xmlns:p=', each: '', nowhere: '' }[declared];
  const declarations = [
    own === '' ? '' : `${own}"${fill('u', namespace)}"`,
    attributeNamespace > 0 ? ` xmlns:q="${fill('q', attributeNamespace)}"` : '',
  ].join('');
  const around = declarations === '' ? ['', ''] : [`<w${declarations}>`, '</w>'];
  const [open = '', close = ''] = around;
  const body = `<body>${repeatText(shape.text, shape.body)}</body>`;
  const fixed = Buffer.byteLength(body + open + close);
  return {
    mostRepeats: (bytes) => Math.floor((bytes - fixed) / Buffer.byteLength(unit)),
    build: (repeats) => `${body}${open}${unit.repeat(repeats)}${close}`,
  };
}
