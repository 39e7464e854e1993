import type { XmppServer } from '../servers/xmpp-server.ts';
import type { Kind, Stage } from './as-a-client.ts';

/** Users that the stage needs, by domain. The password is the localpart. */
export const users = {
  'example.org': ['alice', 'bob', 'carol', 'dave', 'erin'],
  'other.example': ['frank'],
} as const;

/** Domain of the stage's room service. */
export const muc = 'rooms.example.org';

/** Domain of a component of the stage that never connects. */
export const silent = 'silent.example.org';

/** A second component that the gateway's module serves. */
export const limited = 'limited.example.org';

const forged = `<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='alice@example.org'/><stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='bob@example.org'/>`;
const bob = 'bob@example.org';

/** Every kind of message that servers treat differently from others. */
export const kinds: readonly Kind[] = [
  { name: 'chat', to: bob },
  { name: 'without type', to: bob, attributes: '' },
  { name: 'normal without body', to: bob, attributes: `type='normal'`, payload: '' },
  { name: 'headline', to: bob, attributes: `type='headline'` },
  {
    name: 'error',
    to: bob,
    attributes: `type='error'`,
    payload: `<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
  },
  { name: 'subject only', to: bob, payload: '<subject>s</subject>' },
  {
    name: 'chat state',
    to: bob,
    payload: `<active xmlns='http://jabber.org/protocol/chatstates'/>`,
  },
  {
    name: 'receipt requested',
    to: bob,
    payload: `<body>b</body><request xmlns='urn:xmpp:receipts'/>`,
  },
  { name: 'receipt', to: bob, payload: `<received xmlns='urn:xmpp:receipts' id='1'/>` },
  { name: 'private', to: bob, payload: `<body>b</body><private xmlns='urn:xmpp:carbons:2'/>` },
  { name: 'no-copy', to: bob, payload: `<body>b</body><no-copy xmlns='urn:xmpp:hints'/>` },
  { name: 'no-store', to: bob, payload: `<body>b</body><no-store xmlns='urn:xmpp:hints'/>` },
  { name: 'thread', to: bob, payload: `<body>b</body><thread parent='a'>b</thread>` },
  {
    name: 'two languages',
    to: bob,
    attributes: `type='chat' xml:lang='de'`,
    payload: `<body>Hallo</body><body xml:lang='fr'>Bonjour</body>`,
  },
  {
    name: 'XHTML-IM',
    to: bob,
    payload: `<body>b</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>b</p></body></html>`,
  },
  { name: 'OOB', to: bob, payload: `<body>u</body><x xmlns='jabber:x:oob'><url>u</url></x>` },
  {
    name: 'correction',
    to: bob,
    payload: `<body>b</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>`,
  },
  {
    name: 'reactions',
    to: bob,
    payload: `<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>+</reaction></reactions><store xmlns='urn:xmpp:hints'/>`,
  },
  {
    name: 'origin-id',
    to: bob,
    payload: `<body>b</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>`,
  },
  { name: 'forged stanza-id', to: bob, payload: `<body>b</body>${forged}` },
  { name: 'offline', to: 'carol@example.org' },
  {
    name: 'offline, no-store',
    to: 'carol@example.org',
    payload: `<body>b</body><no-store xmlns='urn:xmpp:hints'/>`,
  },
  { name: 'full JID', to: `${bob}/tablet` },
  { name: 'full JID that is gone', to: `${bob}/gone` },
  { name: 'upper case', to: 'BOB@EXAMPLE.ORG' },
  { name: 'oneself', to: 'alice@example.org' },
  { name: 'own other client', to: 'alice@example.org/laptop' },
  { name: 'own domain', to: 'example.org' },
  { name: 'recipient blocks the sender', to: 'dave@example.org' },
  { name: 'recipient blocks the sender, full JID', to: 'dave@example.org/desk' },
  { name: 'sender blocks the recipient', to: 'erin@example.org' },
  { name: 'nobody', to: 'nobody@example.org' },
  { name: 'other virtual host', to: 'frank@other.example' },
  { name: 'remote server that is not there', to: 'zoe@127.65.43.21', remote: '127.65.43.21' },
  { name: 'component that is not connected', to: `x@${silent}`, remote: silent },
  { name: 'groupchat to a user', to: bob, attributes: `type='groupchat'` },
  { name: 'groupchat to a domain', to: 'example.org', attributes: `type='groupchat'` },
  { name: 'groupchat as no occupant', to: `room@${muc}`, attributes: `type='groupchat'` },
  { name: 'groupchat to no room', to: `none@${muc}`, attributes: `type='groupchat'` },
  { name: 'private to an occupant', to: `room@${muc}/bob` },
  {
    name: 'invitation',
    to: `room@${muc}`,
    attributes: '',
    payload: `<x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@example.org'/></x>`,
  },
];

function enter(room: string, nick = 'alice'): string {
  return `<presence to='${room}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`;
}

function block(jid: string): string {
  return `<iq type='set' id='block'><block xmlns='urn:xmpp:blocking'><item jid='${jid}'/></block></iq>`;
}

const groupchat = `type='groupchat'`;
const toTheRoom = { to: `room@${muc}`, attributes: groupchat, remote: `room@${muc}` };
const noStore = `<body>b</body><no-store xmlns='urn:xmpp:hints'/>`;
const originId = `<body>b</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>`;

/** Messages to rooms, which a client has to enter first; the gateway needs no such request. */
export const kindsInRooms: readonly Kind[] = [
  { name: 'groupchat', ...toTheRoom, beforehand: enter(`room@${muc}`) },
  { name: 'groupchat with origin-id', ...toTheRoom, payload: originId },
];

/** Domain of another server, and of the room service there. */
export const far = 'far.example';
export const farMuc = 'rooms.far.example';

/** Messages to another server. */
export const remoteKinds: readonly Kind[] = [
  { name: 'remote chat', to: `zoe@${far}`, remote: far },
  { name: 'remote chat, full JID', to: `zoe@${far}/desk`, remote: far },
  { name: 'remote headline', to: `zoe@${far}`, attributes: `type='headline'`, remote: far },
  { name: 'remote, not stored', to: `zoe@${far}`, payload: noStore, remote: far },
  { name: 'remote nobody', to: `nobody@${far}`, remote: far },
  { name: 'remote recipient blocks the sender', to: `yves@${far}`, remote: far },
  { name: 'remote, private to an occupant', to: `room@${farMuc}/zoe`, remote: farMuc },
  {
    name: 'remote groupchat to no room',
    to: `none@${farMuc}`,
    attributes: groupchat,
    remote: farMuc,
  },
  {
    name: 'remote groupchat',
    to: `room@${farMuc}`,
    attributes: groupchat,
    beforehand: enter(`room@${farMuc}`),
    remote: farMuc,
  },
];

/** Messages that the gateway refuses (422) though servers pass them on. */
export const refusedKinds: readonly Kind[] = [
  ...kinds.filter(({ name }) => name === 'error'),
  { name: 'forged carbon', to: bob, payload: `<received xmlns='urn:xmpp:carbons:2'/>` },
  { name: 'forged archive result', to: bob, payload: `<result xmlns='urn:xmpp:mam:2' id='1'/>` },
  {
    name: 'forged pubsub event',
    to: bob,
    payload: `<event xmlns='http://jabber.org/protocol/pubsub#event'/>`,
  },
  { name: 'privilege', to: 'example.org', payload: `<privilege xmlns='urn:xmpp:privilege:2'/>` },
];

/** The kind that servers refuse to clients only: the gateway enters the room, or need not. */
export const joiningKind = 'groupchat as no occupant';

/** Alice sends. Her laptop, Bob's two clients, Carol (later) and others observe. */
export const createStage = (server: XmppServer, remote?: XmppServer): Stage => ({
  server,
  remote,
  sender: 'alice@example.org/phone',
  online: {
    'alice@example.org/laptop': 0,
    'bob@example.org/desk': 5,
    'bob@example.org/tablet': 1,
    'dave@example.org/desk': 0,
    'erin@example.org/desk': 0,
    'frank@other.example/desk': 0,
    ...(remote === undefined ? {} : { [`zoe@${far}/desk`]: 0, [`yves@${far}/desk`]: 0 }),
  },
  later: ['carol@example.org/desk'],
  preparation: {
    'alice@example.org/laptop': block('erin@example.org'),
    'dave@example.org/desk': block('alice@example.org'),
    'bob@example.org/desk': enter(`room@${muc}`, 'bob'),
    ...(remote === undefined
      ? {}
      : {
          [`zoe@${far}/desk`]: enter(`room@${farMuc}`, 'zoe'),
          [`yves@${far}/desk`]: block('alice@example.org'),
        }),
  },
});

/** Registers all users that a stage needs, with the localpart as password. */
export async function registerUsers({ server, remote }: Stage): Promise<void> {
  for (const [domain, names] of Object.entries(users)) {
    for (const name of names) await server.register(name, name, domain);
  }
  for (const name of ['zoe', 'yves']) await remote?.register(name, name, far);
}
