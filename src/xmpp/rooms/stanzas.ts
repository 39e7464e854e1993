import type { Element } from 'ltx';
import { resourceOf } from '../../core/jid/jid.ts';
import { readStanzaError } from '../../core/message/stanza-error.ts';
import type { Secret } from '../../core/secret.ts';
import { escapeAttribute, escapeText } from '../../core/xml/serialize.ts';

const muc = 'http://jabber.org/protocol/muc';
const mucUser = `${muc}#user`;
const discoInfo = 'http://jabber.org/protocol/disco#info';

/** XEP-0045 §6.4: asks what the room is, and so whether it exists. */
export function buildRoomQuery(id: string, from: string, room: string): string {
  return `<iq type='get' id='${id}' ${addresses(from, room)}><query xmlns='${discoInfo}'/></iq>`;
}

/**
 * XEP-0045 §6.6: whether a room answers to an asker outside it, asking about an occupant: so it exists.
 * The XEP wants `bad-request`; Prosody and ejabberd send `not-acceptable`.
 */
export function isRoomWithout(answer: Element): boolean {
  return (
    answer.attrs['type'] === 'error' &&
    ['not-acceptable', 'bad-request'].includes(readStanzaError(answer).condition)
  );
}

/** XEP-0045 §6.4: whether the answer says that this is a room. */
export function isRoom(answer: Element): boolean {
  const features = answer.getChild('query', discoInfo)?.getChildren('feature') ?? [];
  return features.some(({ attrs }) => attrs['var'] === muc);
}

/** XEP-0045 §7.2: joins under the nick, and asks for none of the room's history (§7.2.14). */
export function buildJoin(
  from: string,
  room: string,
  nick: string,
  password: Secret | undefined,
): string {
  const key = password === undefined ? '' : `<password>${escapeText(password.reveal())}</password>`;
  return `<presence ${addresses(from, `${room}/${nick}`)}><x xmlns='${muc}'><history maxstanzas='0'/>${key}</x></presence>`;
}

/** XEP-0045 §7.14; `to` may be any address in the room, which knows its occupants by `from`. */
export function buildLeave(from: string, to: string): string {
  return `<presence type='unavailable' ${addresses(from, to)}/>`;
}

/** An occupant's own presence, as the room sends it to the occupant (XEP-0045 §7.2.2). */
export interface OwnPresence {
  readonly isThere: boolean;
  /** Whether it has status 110; without that, the nick may be somebody else's. */
  readonly isMarked: boolean;
  readonly nick: string;
  /** The occupant's new nick, when this presence announces a change (§7.6). */
  readonly nextNick: string | undefined;
  /** Whether the join has created the room (§10.1.1). */
  readonly isRoomNew: boolean;
}

/** Reads a presence of a room; undefined when it is not that of the occupant with the nick `nick`. */
export function readOwnPresence(stanza: Element, nick: string): OwnPresence | undefined {
  const x = stanza.getChild('x', mucUser);
  const codes = x?.getChildren('status').map(({ attrs }) => attrs['code']) ?? [];
  const name = resourceOf(String(stanza.attrs['from']));
  if (name === undefined || (name !== nick && !codes.includes('110'))) return undefined;
  return {
    isThere: stanza.attrs['type'] === undefined,
    isMarked: codes.includes('110'),
    nick: name,
    nextNick: codes.includes('303') ? x?.getChild('item')?.attrs['nick'] : undefined,
    isRoomNew: codes.includes('201'),
  };
}

/** XEP-0045 §8.1: the subject that a message gives its room; undefined for other stanzas. */
export function readNewSubject(stanza: Element): string | undefined {
  if (stanza.attrs['type'] !== 'groupchat') return undefined;
  const says = stanza.getChild('body') ?? stanza.getChild('thread');
  return says === undefined ? stanza.getChild('subject')?.getText() : undefined;
}

/**
 * XEP-0045 §6.1: whether the answer of a domain says that it has rooms. Gateways to other networks, such
 * as IRC, may say so of a domain that has users, too; they have another identity.
 */
export function hasRooms(answer: Element): boolean {
  const identities = answer.getChild('query', discoInfo)?.getChildren('identity') ?? [];
  return (
    isRoom(answer) &&
    identities.some(({ attrs }) => attrs['category'] === 'conference' && attrs['type'] === 'text')
  );
}

function addresses(from: string, to: string): string {
  return `from='${escapeAttribute(from)}' to='${escapeAttribute(to)}'`;
}
