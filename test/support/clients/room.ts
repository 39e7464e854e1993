import type { Session } from './session.ts';
import { find, findAll, type Node, type Stanza, text } from './stanza.ts';

const muc = 'http://jabber.org/protocol/muc';

/** A room, seen and administrated by one of its occupants. */
export interface Room {
  readonly jid: string;
  /** The messages of the room in order: the id, and the nick of the sender. */
  messages(): { readonly nick: string; readonly id: string | undefined }[];
  /** Who entered (`+nick`) and left (`-nick`) since the occupant entered, in order. */
  comings(): string[];
  /** Resolves when `comings` contains it. */
  waitForComing(coming: string): Promise<void>;
  waitForMessage(id: string): Promise<Stanza>;
  say(id: string, body: string): void;
  /** Submits the configuration; boolean fields are `1` and `0`. */
  configure(fields: Readonly<Record<string, string>>): Promise<void>;
  kick(nick: string): Promise<void>;
  setAffiliation(jid: string, affiliation: string): Promise<void>;
  destroy(): Promise<void>;
  leave(): void;
}

/** Enters a room; the first occupant creates it. */
export async function enterRoom(
  session: Session,
  jid: string,
  nick: string,
  password = '',
): Promise<Room> {
  const key = password === '' ? '' : `<password>${password}</password>`;
  const start = session.received.length;
  session.send(`<presence to='${jid}/${nick}'><x xmlns='${muc}'>${key}</x></presence>`);
  await session.waitFor(
    ({ root }) =>
      root.name === 'presence' && root.attributes['from'] === `${jid}/${nick}` && isOwn(root),
    `${nick} to be in ${jid}`,
  );
  const entered = session.received.length;
  const from = (since: number): Stanza[] =>
    session.received
      .slice(since)
      .filter(({ root }) => root.attributes['from']?.startsWith(`${jid}/`));
  const comings = (): string[] =>
    from(entered)
      .filter(({ root }) => root.name === 'presence' && find(root, 'x') !== undefined)
      .map(({ root }) => `${root.attributes['type'] === undefined ? '+' : '-'}${nickOf(root)}`);
  const query = async (iq: string): Promise<void> => {
    const { root, xml } = await session.query(`<iq type='set' to='${jid}'>${iq}</iq>`);
    if (root.attributes['type'] !== 'result') throw new Error(`expected a result, got ${xml}`);
  };
  const administer = (item: string): Promise<void> =>
    query(`<query xmlns='${muc}#admin'><item ${item}/></query>`);
  return {
    jid,
    messages: () =>
      from(start)
        .filter(({ root }) => root.name === 'message' && root.attributes['type'] === 'groupchat')
        .map(({ root }) => ({ nick: nickOf(root), id: root.attributes['id'] })),
    comings,
    waitForComing: async (coming) => {
      await session.waitFor(() => comings().includes(coming), `${coming} in ${jid}`);
    },
    waitForMessage: (id) => session.waitForMessage(id),
    say: (id, body) =>
      session.send(
        `<message type='groupchat' id='${id}' to='${jid}'><body>${body}</body></message>`,
      ),
    configure: (fields) => query(buildConfiguration(fields)),
    kick: (other) => administer(`nick='${other}' role='none'`),
    setAffiliation: (other, affiliation) =>
      administer(`jid='${other}' affiliation='${affiliation}'`),
    destroy: () => query(`<query xmlns='${muc}#owner'><destroy/></query>`),
    leave: () => session.send(`<presence type='unavailable' to='${jid}/${nick}'/>`),
  };
}

/** Whether the room exists, asked as a user. */
export async function roomExists(session: Session, jid: string): Promise<boolean> {
  const { root } = await session.query(
    `<iq type='get' to='${jid}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
  );
  return root.attributes['type'] === 'result';
}

function buildConfiguration(fields: Readonly<Record<string, string>>): string {
  const all = Object.entries({ FORM_TYPE: `${muc}#roomconfig`, ...fields })
    .map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`)
    .join('');
  return `<query xmlns='${muc}#owner'><x xmlns='jabber:x:data' type='submit'>${all}</x></query>`;
}

function nickOf(root: Node): string {
  return root.attributes['from']?.split('/')[1] ?? '';
}

function isOwn(root: Node): boolean {
  const x = find(root, 'x', `${muc}#user`);
  return (
    x !== undefined && findAll(x, 'status').some(({ attributes }) => attributes['code'] === '110')
  );
}

/** The text of a message's body. */
export function bodyOf({ root }: Stanza): string {
  const body = find(root, 'body');
  return body === undefined ? '' : text(body);
}
