// What differs between versions of a server, where a test has to know it.
import { isServerSince } from './versions.ts';
import type { ServerKind } from './xmpp-server.ts';

/**
 * Does the room service still have a room's occupants after a restart (not after a crash)? Prosody
 * does since 13.0: an occupant that the gateway had there does not have to come again.
 */
export function keepsOccupants(kind: ServerKind): boolean {
  return kind === 'prosody' && isServerSince('prosody', '13.0');
}

/**
 * The function of Prosody's core.usermanager that says what an account is allowed, and its first
 * argument for an account: since 13.0 accounts have one role each, before that any number.
 */
export function roleLookup(username: string, host: string): { name: string; argument: string } {
  return isServerSince('prosody', '13.0')
    ? { name: 'get_user_role', argument: username }
    : { name: 'get_roles', argument: `${username}@${host}` };
}

/**
 * Do the sender's archive and other devices get what is sent with XEP-0356? On ejabberd it goes
 * through the sender's own processing since 23.10.
 */
export function servesPrivilegedSenders(kind: ServerKind): boolean {
  return kind === 'prosody' || isServerSince('ejabberd', '23.10');
}

/**
 * Does the gateway know that they do? Since 24.10 ejabberd announces urn:xmpp:privilege:2, as Prosody's
 * module does; what an older one does with urn:xmpp:privilege:1 depends on its version.
 */
export function announcesServedSenders(kind: ServerKind): boolean {
  return kind === 'prosody' || isServerSince('ejabberd', '24.10');
}
