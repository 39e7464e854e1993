import type { Element } from 'ltx';
import type { StanzaError } from '../errors.ts';
import { bareOf } from '../jid/jid.ts';
import { abbreviate, quote } from '../text.ts';
import { moduleNamespace } from './mode.ts';

const stanzasNamespace = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** A message that came back. */
export interface BouncedMessage {
  /** The sender and the recipient, as the recipient's server sees them. */
  readonly from: string;
  readonly to: string;
  /** Whether it was to be said in a room. */
  readonly isForRoom: boolean;
}

interface Condition {
  /** HTTP; without one, the type of the error decides. */
  readonly status?: number;
  /** Servers do not say whether a recipient is a room, so this must hold for rooms, too. */
  readonly describe: (to: string, from: string) => string;
  /** For messages that were to be said in a room. */
  readonly describeForRoom?: (room: string, from: string) => string;
}

/** RFC 6120 §8.3.3, as Prosody and ejabberd use the conditions; XEP-0045 §7.2 and §7.4 for rooms. */
const conditions: ReadonlyMap<string, Condition> = new Map(
  Object.entries<Condition>({
    'service-unavailable': {
      status: 404,
      describe: (to) =>
        `${to} cannot be reached: it does not exist, is offline and keeps no messages, or does not accept messages from this sender. If it is a room, send with the type groupchat.`,
      describeForRoom: (room, from) =>
        `There is no room ${room}, or it is full, or does not let ${from} in. If it is a user, leave the type out.`,
    },
    'item-not-found': {
      status: 404,
      describe: (to) =>
        `There is no ${to}: no such user, no such room, or nobody of that name in it.`,
      describeForRoom: (room) =>
        `There is no room ${room}, or it is still locked: create it with a chat client first.`,
    },
    'recipient-unavailable': {
      status: 404,
      describe: (to) => `${to} is not there at the moment.`,
    },
    gone: { status: 404, describe: (to) => `${to} has moved or was deleted.` },
    forbidden: {
      status: 403,
      describe: (to, from) =>
        `${from} may not send this to ${to}: it is blocked or banned there, or lacks a right.`,
      describeForRoom: (room, from) =>
        `${from} is banned from the room ${room}, or has no voice in it.`,
    },
    'not-allowed': {
      status: 403,
      describe: (to, from) => `The server of ${to} does not allow ${from} to send this.`,
      describeForRoom: (room, from) =>
        `The room ${room} does not allow this to ${from}; if there is no such room, its server does not let ${from} create it.`,
    },
    'not-authorized': {
      status: 403,
      describe: (to, from) =>
        `${to} does not accept this from ${from} without authorization; a room wants its password.`,
      describeForRoom: (room) =>
        `The room ${room} wants a password: set the right one in rooms.passwords of the gateway's configuration.`,
    },
    'registration-required': {
      status: 403,
      describe: (to, from) => `${to} is for members only: ${from} must become a member.`,
      describeForRoom: (room, from) =>
        `The room ${room} is for members only: ${from} must become a member.`,
    },
    'subscription-required': {
      status: 403,
      describe: (to, from) =>
        `${to} accepts messages from its contacts only: ${from} must become one.`,
    },
    'policy-violation': {
      status: 403,
      describe: (to) =>
        `A policy of the server of ${to} forbids the message: for example its content, its size or too many at a time.`,
    },
    'jid-malformed': {
      status: 422,
      describe: (to) => `The XMPP server does not take ${to} for a valid address.`,
    },
    'bad-request': {
      status: 422,
      describe: (to) =>
        `The server of ${to} cannot process the message: something in it is malformed.`,
    },
    'not-acceptable': {
      status: 422,
      describe: (to, from) =>
        `${to} does not accept the message: ${from} is not in that room, has blocked ${to}, or breaks another rule there.`,
      describeForRoom: (room, from) =>
        `The room ${room} does not accept the message: ${from} is not in it, may not use its nick, or breaks another rule.`,
    },
    'remote-server-not-found': {
      status: 502,
      describe: (to) => `No XMPP server was found for ${domainOf(to)}: is the domain right?`,
    },
    'remote-server-timeout': {
      status: 504,
      describe: (to) => `The XMPP server of ${domainOf(to)} could not be reached in time.`,
    },
    'resource-constraint': {
      status: 503,
      describe: (to) =>
        `The server of ${to} is too busy, or has no room for more messages: send it again later.`,
      describeForRoom: (room) =>
        `The room ${room} is full, or its server is too busy: send it again later.`,
    },
    conflict: {
      describe: (to, from) =>
        `What ${from} sent is in conflict with something at ${to}; in a room, its nick is taken.`,
      describeForRoom: (room, from) =>
        `The nick of ${from} is taken in the room ${room}, and so is every other that was tried.`,
    },
    'feature-not-implemented': {
      describe: (to) => `${to} does not support messages of this kind.`,
    },
    'internal-server-error': {
      describe: (to) => `The server of ${to} failed; its log says why.`,
    },
    redirect: { describe: (to) => `${to} wants its messages at another address.` },
    'unexpected-request': {
      describe: (to) => `${to} did not expect such a message at this time.`,
    },
    'undefined-condition': {
      describe: (to) => `The server of ${to} returned the message without a known reason.`,
    },
  }),
);

function domainOf(address: string): string {
  return bareOf(address).replace(/^.*@/s, '');
}

const statusByType = new Map<string | undefined, number>([
  ['wait', 503],
  ['auth', 403],
  ['modify', 422],
]);

const otherStatus = 502;

/** Every status that a bounce can have, in ascending order. */
export const bounceStatuses: readonly number[] = [
  ...new Set([
    ...[...conditions.values()].flatMap(({ status }) => status ?? []),
    ...statusByType.values(),
    otherStatus,
  ]),
].toSorted((a, b) => a - b);

/** Returns the HTTP status for a bounce, by its condition or else by its type (RFC 6120 §8.3). */
export function bounceStatus({ condition, type }: StanzaError): number {
  return conditions.get(condition)?.status ?? statusByType.get(type) ?? otherStatus;
}

/** Says in a sentence why the message came back, and what the server says about it. */
export function describeBounce(
  { condition, text }: StanzaError,
  { from, to, isForRoom }: BouncedMessage,
): string {
  const { describe, describeForRoom } = conditions.get(condition) ?? {};
  const sentence =
    (isForRoom ? describeForRoom : undefined)?.(to, from) ??
    describe?.(to, from) ??
    `The XMPP server returned the message to ${to} with ${condition}.`;
  const words = text === undefined ? '' : ` The server says: ${quote(text, longestText)}`;
  return sentence + words;
}

const longestText = 200;

/** Explains every condition, one a line, for people. */
export function explainConditions(): string {
  return Array.from(conditions, ([name, { status, describe, describeForRoom }]) => {
    const room = describeForRoom?.('ROOM', 'SENDER');
    const meanings = [
      describe('RECIPIENT', 'SENDER'),
      ...(room === undefined ? [] : [`In a room: ${room}`]),
    ];
    return `${name} (${status ?? 'status by error_type'}): ${meanings.join(' ')}`;
  }).join('\n');
}

/** Whether the server's module refuses the sender, regardless of the recipient. */
export function isSenderRefusal(stanza: Element): boolean {
  return findSenderRefusal(stanza) !== undefined;
}

/** Whether the server's module refuses the sender because there is no such account. */
export function isSenderUnknown(stanza: Element): boolean {
  return findSenderRefusal(stanza)?.attrs['reason'] === 'no-account';
}

function findSenderRefusal(stanza: Element): Element | undefined {
  return findError(stanza)?.getChild('sender-refused', moduleNamespace);
}

/** Of what a server says; another server may say as much as fits into a stanza. */
const longestKeptText = 1000;

/** Reads the `<error/>` of a stanza of type error (RFC 6120 §8.3.2); abbreviates what is too long to keep. */
export function readStanzaError(stanza: Element): StanzaError {
  const error = findError(stanza);
  const children = error?.getChildElements() ?? [];
  const defined = children.filter((child) => child.getNS() === stanzasNamespace);
  const condition = defined.find((child) => child.getName() !== 'text')?.getName();
  const type: string | undefined = error?.attrs['type'];
  const text = defined.find((child) => child.getName() === 'text')?.getText() ?? '';
  return {
    condition: abbreviate(condition ?? 'undefined-condition'),
    type: type === undefined ? undefined : abbreviate(type),
    text: abbreviate(text, longestKeptText) || undefined,
  };
}

/** Takes the last one: a server may echo the message before it, with an `<error/>` that the sender put in. */
function findError(stanza: Element): Element | undefined {
  return stanza.getChildren('error').at(-1);
}
