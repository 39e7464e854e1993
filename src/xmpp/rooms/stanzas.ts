import type { Element } from 'ltx';
import { resourceOf } from '../../core/jid/jid.ts';
import { readStanzaError } from '../../core/message/stanza-error.ts';
import type { Secret } from '../../core/secret.ts';
import { escapeAttribute, escapeText } from '../../core/xml/serialize.ts';

const muc = 'http://jabber.org/protocol/muc';
const mucUser = `${muc}#user`;
const discoInfo = 'http://jabber.org/protocol/disco#info';

/** XEP-0045 §6.4: what the room is, which tells also whether it exists. */
export function buildRoomQuery(id: string, from: string, room: string): string {
  return `<iq type='get' id='${id}' ${addresses(from, room)}><query xmlns='${discoInfo}'/></iq>`;
}

/**
 * XEP-0045 §6.6: what a room that exists says to somebody who is not in it and asks for an occupant.
 * The XEP wants `bad-request`; Prosody and ejabberd say `not-acceptable`.
 */
export function isRoomWithout(answer: Element): boolean {
  return (
    answer.attrs['type'] === 'error' &&
    ['not-acceptable', 'bad-request'].includes(readStanzaError(answer).condition)
  );
}

/** XEP-0045 §6.4: a room says that it is one. */
export function isRoom(answer: Element): boolean {
  const features = answer.getChild('query', discoInfo)?.getChildren('feature') ?? [];
  return features.some(({ attrs }) => attrs['var'] === muc);
}

/** XEP-0045 §7.2: asks to be let in under the nick, without the room's history (§7.2.14). */
export function buildJoin(
  from: string,
  room: string,
  nick: string,
  password: Secret | undefined,
): string {
  const key = password === undefined ? '' : `<password>${escapeText(password.reveal())}</password>`;
  return `<presence ${addresses(from, `${room}/${nick}`)}><x xmlns='${muc}'><history maxstanzas='0'/>${key}</x></presence>`;
}

/** XEP-0045 §7.14; `to` is any address in the room, for it knows its occupants by `from`. */
export function buildLeave(from: string, to: string): string {
  return `<presence type='unavailable' ${addresses(from, to)}/>`;
}

/** What a room says of the occupant itself (XEP-0045 §7.2.2). */
export interface OwnPresence {
  readonly isThere: boolean;
  /** Whether the room says so (status 110): until it has, whoever has the nick may be another. */
  readonly isMarked: boolean;
  readonly nick: string;
  /** The nick that it has from now on, when this presence tells a change (§7.6). */
  readonly nextNick: string | undefined;
  /** Whether joining has created the room (§10.1.1). */
  readonly isRoomNew: boolean;
}

/** Reads a presence of a room; undefined when it is not about the occupant whose nick is `nick`. */
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

function addresses(from: string, to: string): string {
  return `from='${escapeAttribute(from)}' to='${escapeAttribute(to)}'`;
}
