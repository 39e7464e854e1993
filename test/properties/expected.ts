import type { Element, Expat } from './expat.ts';
import type { Infoset } from './wire.ts';

const client = 'jabber:client';

/** Elements without a namespace are read as jabber:client unless an xmlns is in scope. */
function adopt(element: Element, isAdopting: boolean): Infoset {
  const { name, attributes } = element;
  return {
    name: isAdopting ? name.replace(/^\{\}/, `{${client}}`) : name,
    attributes,
    children: element.children.map((child) =>
      typeof child === 'string'
        ? child
        : adopt(child, isAdopting && child.declaredDefault === undefined),
    ),
  };
}

/** A caller's XML text as libexpat reads it; undefined when it is not well-formed. */
export async function readDocument(expat: Expat, text: string): Promise<Infoset | undefined> {
  const reading = await expat.read(text);
  if ('error' in reading) return undefined;
  const { root } = reading;
  return adopt(root, (root.declaredDefault ?? '') === '');
}

/** The same for the content of a message. */
export async function readFragment(
  expat: Expat,
  text: string,
): Promise<readonly (Infoset | string)[] | undefined> {
  const reading = await expat.read(`<m xmlns='${client}'>${text}</m>`);
  return 'error' in reading ? undefined : adopt(reading.root, false).children;
}

type Fields = Readonly<Record<string, unknown>>;

const xmlName = /^xml:/;

function readMap(map: unknown, left: readonly string[]): [string, string][] {
  return Object.entries((map ?? {}) as Fields)
    .filter(([name]) => !left.includes(name))
    .map(([name, value]): [string, string] => [
      xmlName.test(name)
        ? `{http://www.w3.org/XML/1998/namespace}${name.slice('xml:'.length)}`
        : `{}${name}`,
      String(value),
    ]);
}

/** The message that an accepted JSON body describes. */
export async function readFields(expat: Expat, fields: Fields): Promise<Infoset> {
  const { body, subject, extra_elements: extra = '' } = fields;
  const map = { type: 'chat', ...(fields['message_attributes'] as Fields | undefined) };
  const children: (Infoset | string)[] = [];
  if (body !== undefined) {
    children.push({
      name: `{${client}}body`,
      attributes: sort(readMap(fields['body_attributes'], ['xmlns'])),
      children: body === '' ? [] : [body as string],
    });
  }
  if (subject !== undefined) {
    children.push({
      name: `{${client}}subject`,
      attributes: [],
      children: subject === '' ? [] : [subject as string],
    });
  }
  const elements = await readFragment(expat, String(extra));
  if (elements === undefined) throw new Error('extra_elements is not well-formed');
  return {
    name: `{${client}}message`,
    attributes: sort([...readMap(map, ['to', 'from', 'xmlns']), ['{}to', String(fields['to'])]]),
    children: [...children, ...elements],
  };
}

function sort(attributes: readonly [string, string][]): [string, string][] {
  return attributes.toSorted(([a], [b]) => (a < b ? -1 : 1));
}
