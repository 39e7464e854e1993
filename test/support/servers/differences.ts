// Differences between versions of a server that tests depend on.
import { isServerSince } from './versions.ts';
import type { ServerKind } from './xmpp-server.ts';

/**
 * Does the room service keep a room's occupants over a restart (not a crash)? Prosody does since
 * 13.0, so that the gateway's occupants do not have to enter again.
 */
export function keepsOccupants(kind: ServerKind): boolean {
  return kind === 'prosody' && isServerSince('prosody', '13.0');
}

/**
 * The function of Prosody's core.usermanager that returns the role of an account, and the argument
 * for an account: one role each since 13.0, before that any number.
 */
export function roleLookup(username: string, host: string): { name: string; argument: string } {
  return isServerSince('prosody', '13.0')
    ? { name: 'get_user_role', argument: username }
    : { name: 'get_roles', argument: `${username}@${host}` };
}

/**
 * Do the sender's archive and other devices get messages that are sent with XEP-0356? ejabberd has
 * processed them like the sender's own since 23.10.
 */
export function servesPrivilegedSenders(kind: ServerKind): boolean {
  return kind === 'prosody' || isServerSince('ejabberd', '23.10');
}

/**
 * Does the gateway know that they do? ejabberd announces urn:xmpp:privilege:2 since 24.10, like
 * Prosody's module; what older ones do with urn:xmpp:privilege:1 depends on the version.
 */
export function announcesServedSenders(kind: ServerKind): boolean {
  return kind === 'prosody' || isServerSince('ejabberd', '24.10');
}
