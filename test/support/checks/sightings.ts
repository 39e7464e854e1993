import { find, type Node, type Stanza, text, xmlLang } from '../clients/stanza.ts';

/** Stanzas in the order of their arrival, by index of the message and name of the observer. */
export type Sightings = Map<string, string[]>;

/** Attributes to which a server gives a new value each time. */
const masked: Readonly<Record<string, readonly string[]>> = {
  'urn:xmpp:sid:0 stanza-id': ['id'],
  'urn:xmpp:delay delay': ['stamp'],
  'urn:xmpp:mam:tmp archived': ['id'],
  'urn:xmpp:mam:2 result': ['id', 'queryid'],
  // A room that was empty between two runs has been created anew.
  'urn:xmpp:occupant-id:0 occupant-id': ['id'],
};

/** What may be spelled differently in each run and still counts as equal. */
export interface Masks {
  /** The prefix of the messages' ids; an index follows. */
  readonly idPrefix: string;
  /** The senders' own addresses, which count as one address in a comparison. */
  readonly senders: ReadonlySet<string>;
  /** The language that a server adds to messages of its clients; ignored. */
  readonly language?: string | undefined;
}

const sender = 'the sender';

/** Rooms add the JID of the occupant who invites. */
function maskText(value: string, { senders }: Masks): string {
  const longestFirst = [...senders].toSorted((a, b) => b.length - a.length);
  return longestFirst.reduce((masking, address) => masking.replaceAll(address, sender), value);
}

function canonical(node: Node, masks: Masks): unknown {
  const names = masked[`${node.namespace} ${node.name}`] ?? [];
  const attributes = Object.entries(node.attributes)
    .filter(([name, value]) => name !== xmlLang || value !== masks.language)
    .map(([name, value]) => {
      if (names.includes(name)) return [name, '…'];
      return [name, masks.senders.has(value) ? sender : value.replace(masks.idPrefix, '')];
    })
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return {
    name: node.name,
    // Answers on a component's stream are in the namespace of that stream.
    namespace: node.namespace === 'jabber:component:accept' ? 'jabber:client' : node.namespace,
    attributes: Object.fromEntries(attributes) as unknown,
    children: node.children.map((child) =>
      typeof child === 'string' ? maskText(child, masks) : canonical(child, masks),
    ),
  };
}

/** The id of ours on the message or on one that it carries (carbon, archive). */
function findId(node: Node, idPrefix: string): string | undefined {
  const own = node.name === 'message' ? node.attributes['id'] : undefined;
  if (own?.startsWith(idPrefix) === true) return own.slice(idPrefix.length);
  for (const child of node.children) {
    const inner = typeof child === 'string' ? undefined : findId(child, idPrefix);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** Adds those stanzas of an observer that are about a message of ours. */
export function collect(
  into: Sightings,
  observer: string,
  received: readonly Stanza[],
  masks: Masks,
): void {
  for (const { root } of received) {
    const id = findId(root, masks.idPrefix);
    if (id === undefined) continue;
    const key = `${id} ${observer}`;
    into.set(key, [...(into.get(key) ?? []), JSON.stringify(canonical(root, masks))]);
  }
}

/** The same for errors only, reduced to condition, type and text. */
export function collectErrors(
  into: Sightings,
  observer: string,
  received: readonly Stanza[],
  { idPrefix }: Masks,
): void {
  for (const { root } of received) {
    const id = findId(root, idPrefix);
    const error = find(root, 'error');
    if (id === undefined || root.attributes['type'] !== 'error' || error === undefined) continue;
    const key = `${id} ${observer}`;
    into.set(key, [...(into.get(key) ?? []), JSON.stringify(readMeaning(error))]);
  }
}

function readMeaning(error: Node): Readonly<Record<string, string | undefined>> {
  const elements = error.children.filter((child) => typeof child !== 'string');
  const words = find(error, 'text');
  return {
    condition: elements.find(({ name }) => name !== 'text')?.name,
    type: error.attributes['type'],
    text: words === undefined ? undefined : text(words),
  };
}
