import { randomUUID } from 'node:crypto';
import { openComponent } from '../clients/component.ts';
import { openSession, type Session } from '../clients/session.ts';
import { find, type Stanza, text } from '../clients/stanza.ts';
import type { XmppServer } from '../servers/xmpp-server.ts';
import type { Comparison, Difference } from './comparison.ts';
import { collect, collectErrors, type Masks, type Sightings } from './sightings.ts';

/** One kind of message, which a real client sends once and a component once. */
export interface Kind {
  readonly name: string;
  /** Bare or full JID or domain. */
  readonly to: string;
  /** Attributes of `<message/>` beside `to`, `from` and `id`; default `type='chat'`. */
  readonly attributes?: string;
  /** The content of `<message/>`; default a body. */
  readonly payload?: string;
  /** An address that answers late: the next message is sent when a ping to it has come back. */
  readonly remote?: string;
  /** What a client has to send first, to enter a room for example. */
  readonly beforehand?: string;
}

/** Where the comparison takes place. Every user's password is the localpart. */
export interface Stage {
  readonly server: XmppServer;
  /** Where observers of its domains log in. */
  readonly remote?: XmppServer | undefined;
  /** Full JID of the client to compare the other way with; it is online only while it sends. */
  readonly sender: string;
  /** Full JIDs that are online, with carbons, and their priorities. */
  readonly online: Readonly<Record<string, number>>;
  /** Full JIDs that log in only after everything has been sent. */
  readonly later: readonly string[];
  /** A stanza that an observer sends before the comparison begins, by full JID. */
  readonly preparation: Readonly<Record<string, string>>;
}

/** A way to send the messages. */
export interface Way {
  /** What came back to the sender. */
  readonly received: readonly Stanza[];
  /** Sends a kind's `<message/>`, without `from`; resolves when the server has processed it. */
  readonly send: (message: string, kind: Kind) => Promise<void>;
  readonly close: () => Promise<void>;
}

function split(fullJid: string) {
  const [, localpart = '', domain = '', resource = ''] =
    /^([^@]+)@([^/]+)\/(.+)$/.exec(fullJid) ?? [];
  return { localpart, domain, resource };
}

/** Opens a session of a user whose password is the localpart. */
export function openAs(server: XmppServer, fullJid: string, priority = 0): Promise<Session> {
  const { localpart, domain, resource } = split(fullJid);
  const address = { port: server.c2sPort, localpart, domain, resource, password: localpart };
  return openSession({ ...address, priority });
}

async function openObserver(server: XmppServer, jid: string, priority = 0): Promise<Session> {
  const session = await openAs(server, jid, priority);
  await session.query(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  return session;
}

function openOn({ server, remote }: Stage, jid: string, priority?: number): Promise<Session> {
  const isRemote = remote?.domains.includes(split(jid).domain) ?? false;
  return openObserver(isRemote && remote !== undefined ? remote : server, jid, priority);
}

/** Reads a whole archive, page by page (XEP-0313 §4, XEP-0059). */
export async function readArchive(session: Session): Promise<Stanza[]> {
  const from = session.received.length;
  for (let after = '', page = 0; page < 50; page++) {
    const { root, xml } = await session.query(
      `<iq type='set'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max>${after}</set></query></iq>`,
    );
    const fin = find(root, 'fin');
    if (fin === undefined) throw new Error(`expected an archive's end, got ${xml}`);
    if (fin.attributes['complete'] === 'true') break;
    const set = find(fin, 'set');
    const last = set === undefined ? undefined : find(set, 'last');
    if (last === undefined) throw new Error(`expected a page's end, got ${xml}`);
    after = `<after>${text(last)}</after>`;
  }
  return session.received
    .slice(from)
    .filter(({ root }) => root.name === 'message' && find(root, 'result') !== undefined);
}

function write(kind: Kind, index: number, idPrefix: string): string {
  const { to, attributes = `type='chat'`, payload = `<body>${kind.name}</body>` } = kind;
  return `<message to='${to}' id='${idPrefix}${index}' ${attributes}>${payload}</message>`;
}

/** Sends as the stage's sender itself, over c2s. */
export async function openClientWay({ server, sender }: Stage): Promise<Way> {
  // Its own messages must reach the account's other clients only: no carbons, negative priority.
  const { received, send, settle, close } = await openAs(server, sender, -1);
  const sendAndSettle = async (message: string, { beforehand = '' }: Kind): Promise<void> => {
    send(`${beforehand}${message}`);
    await settle();
  };
  return { received, send: sendAndSettle, close };
}

/** Sends as the server's first component, from this address. */
export async function openComponentWay({ server }: Stage, from: string): Promise<Way> {
  const { componentDomain: domain, componentSecret: secret, componentPort: port } = server;
  const { received, send, waitFor, close } = await openComponent({ port, domain, secret });
  let barriers = 0;
  const sendAndWait = async (message: string): Promise<void> => {
    barriers += 1;
    const id = `barrier-${barriers}`;
    send(
      `${message.replace('<message', `<message from='${from}'`)}<iq from='${domain}' to='${server.domain}' type='get' id='${id}'><ping xmlns='urn:xmpp:ping'/></iq>`,
    );
    await waitFor(({ root }) => root.attributes['id'] === id, `the barrier after ${message}`);
  };
  return { received, send: sendAndWait, close };
}

async function openObservers(stage: Stage) {
  const { online, preparation } = stage;
  const observers = new Map<string, Session>();
  for (const [jid, priority] of Object.entries(online)) {
    observers.set(jid, await openOn(stage, jid, priority));
  }
  for (const [jid, xml] of Object.entries(preparation)) observers.get(jid)?.send(xml);
  return observers;
}

/** Sends one kind after the other, each after everything about the previous one was seen. */
async function sendAll(
  way: Way,
  kinds: readonly Kind[],
  idPrefix: string,
  observers: readonly Session[],
): Promise<void> {
  for (const [index, kind] of kinds.entries()) {
    await way.send(write(kind, index, idPrefix), kind);
    if (kind.remote !== undefined) {
      await observers[0]?.query(
        `<iq type='get' to='${kind.remote}'><ping xmlns='urn:xmpp:ping'/></iq>`,
      );
    }
    await settleAll(observers);
  }
}

async function settleAll(sessions: Iterable<Session>): Promise<void> {
  for (const session of sessions) await session.settle();
}

/** Adds what an observer received to what has been seen. */
type Collect = typeof collect;

async function observe(
  stage: Stage,
  kinds: readonly Kind[],
  masks: Masks,
  open: (stage: Stage) => Promise<Way>,
  collectSenders: Collect,
): Promise<Sightings> {
  const observers = await openObservers(stage);
  await settleAll(observers.values());
  const way = await open(stage);
  await sendAll(way, kinds, masks.idPrefix, [...observers.values()]);
  const seen: Sightings = new Map();
  collectSenders(seen, 'the sender', way.received, masks);
  await way.close();
  for (const jid of stage.later) observers.set(jid, await openOn(stage, jid));
  await settleAll(observers.values());
  for (const [jid, { received }] of observers) collect(seen, jid, [...received], masks);
  const archives = new Map(
    [...observers].map(([jid, session]) => [jid.replace(/\/.*/, "'s archive"), session]),
  );
  for (const [name, session] of archives) collect(seen, name, await readArchive(session), masks);
  for (const session of observers.values()) await session.close();
  return seen;
}

/** Sends every kind once as a client and once the other way, and compares what everybody saw. */
export async function compareWithClient(
  stage: Stage,
  kinds: readonly Kind[],
  other: {
    /** The sender address of its messages. A bare one means that bare and full count as equal. */
    readonly from: string;
    readonly open: (stage: Stage) => Promise<Way>;
    /** Which part of the answers to the sender is compared; default whole stanzas. */
    readonly senderSees?: 'errors';
    /** `Masks.language`. */
    readonly language?: string | undefined;
  },
): Promise<Comparison> {
  const senders = new Set([stage.sender, other.from]);
  const createMasks = (): Masks => ({
    idPrefix: `${randomUUID()}-`,
    senders,
    language: other.language,
  });
  const collectSenders = other.senderSees === 'errors' ? collectErrors : collect;
  const byClient = await observe(stage, kinds, createMasks(), openClientWay, collectSenders);
  const byOther = await observe(stage, kinds, createMasks(), other.open, collectSenders);
  const differences: Difference[] = [];
  let all = 0;
  for (const key of new Set([...byClient.keys(), ...byOther.keys()])) {
    const [clients = [], others = []] = [byClient.get(key), byOther.get(key)];
    const count = Math.max(clients.length, others.length);
    all += count;
    const [index = '', ...words] = key.split(' ');
    const kind = kinds[Number(index)]?.name ?? index;
    const observer = words.join(' ');
    for (let at = 0; at < count; at++) {
      const seen = { client: clients[at], other: others[at] };
      if (seen.client !== seen.other) differences.push({ kind, observer, ...seen });
    }
  }
  return { equal: all - differences.length, all, differences };
}
