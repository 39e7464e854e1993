import type { Element, Expat } from './expat.ts';

/** A message as a server understands it. */
export interface Infoset {
  readonly name: string;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly children: readonly (Infoset | string)[];
}

const component = 'jabber:component:accept';
const client = 'jabber:client';
const header = `<stream:stream xmlns='${component}' xmlns:stream='http://etherx.jabber.org/streams'>`;

/** Namespaces that no element or attribute of a payload may have. */
const forbidden = [
  component,
  'jabber:server',
  'http://etherx.jabber.org/streams',
  'http://www.w3.org/2000/xmlns/',
];
const xml = 'http://www.w3.org/XML/1998/namespace';
const xmlAttributes = ['lang', 'space', 'base', 'id'].map((name) => `{${xml}}${name}`);

/** Payloads that only a server or the account itself may send from a bare JID. */
const forgeries = [
  /^\{urn:xmpp:carbons:2\}(?:received|sent)$/,
  /^\{urn:xmpp:mam:.*\}(?:result|fin)$/s,
  /^\{http:\/\/jabber\.org\/protocol\/pubsub#event\}event$/,
  /^\{urn:xmpp:(?:privilege|delegation):.*\}/s,
];

function isIn(namespace: string, name: string): boolean {
  return name.startsWith(`{${namespace}}`);
}

function checkNames({ name, attributes }: Element): void {
  const names = [name, ...attributes.map(([attribute]) => attribute)];
  const wrong = names.find((it) => forbidden.some((namespace) => isIn(namespace, it)));
  if (wrong !== undefined) throw new Error(`${wrong} is in a namespace that it must not be in`);
  const [, ...ownAttributes] = names;
  const unknown = ownAttributes.find((it) => isIn(xml, it) && !xmlAttributes.includes(it));
  if (isIn(xml, name) || unknown !== undefined)
    throw new Error(`${unknown ?? name} breaks clients`);
}

function readPayload(element: Element): Infoset {
  checkNames(element);
  const { name, attributes } = element;
  const children = element.children.map((it) => (typeof it === 'string' ? it : readPayload(it)));
  return { name, attributes, children };
}

/** The message and its own elements, which the server reads as jabber:client. */
function readContent(element: Element): Infoset {
  const own = { ...element, name: element.name.replace(component, client) };
  checkNames(own);
  const children = element.children.map((child) => {
    if (typeof child === 'string') return child;
    if (isIn(component, child.name)) return readContent(child);
    if (isIn(client, child.name)) throw new Error(`${child.name} would not be taken for content`);
    return readPayload(child);
  });
  return { name: own.name, attributes: own.attributes, children };
}

/** Reads a stanza from a component's stream with libexpat; throws unless it is one good message. */
export async function readFromWire(expat: Expat, stanza: string): Promise<Infoset> {
  const reading = await expat.read(`${header}${stanza}</stream:stream>`);
  if ('error' in reading) throw new Error(`the stream would be closed: ${reading.error}`);
  const [message, ...others] = reading.root.children;
  if (message === undefined || typeof message === 'string' || others.length > 0) {
    throw new Error('expected exactly one element on the stream');
  }
  if (message.name !== `{${component}}message`)
    throw new Error(`expected a message: ${message.name}`);
  const forgery = message.children.find(
    (child) => typeof child !== 'string' && forgeries.some((pattern) => pattern.test(child.name)),
  );
  if (forgery !== undefined) throw new Error(`forged: ${JSON.stringify(forgery)}`);
  return readContent(message);
}
