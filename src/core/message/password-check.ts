import type { Jid } from '../jid/jid.ts';

/**
 * Asks the XMPP server whether the password is the user's (bare JID). `false` means a definite no;
 * rejects with GatewayError `authentication-unavailable` when the server did not say either.
 */
export type PasswordCheck = (user: Jid, password: string) => Promise<boolean>;
