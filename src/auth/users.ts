import { GatewayError } from '../core/errors.ts';
import { createJid, type Jid, JidError, parseJid } from '../core/jid/jid.ts';
import type { PresentedCredentials } from './basic-credentials.ts';
import { createLogin, type LoginOptions, type Subject } from './login.ts';
import type { Permissions } from './permissions.ts';

/**
 * Asks the XMPP server whether a password belongs to a user (bare JID). `false` is a definite no;
 * rejects with GatewayError `authentication-unavailable` if the server gave no definite answer.
 */
export type PasswordCheck = (user: Jid, password: string) => Promise<boolean>;

/** The XMPP users, who send as themselves. */
export interface Users {
  /**
   * Resolves with the bare JID of the user on `domain` (normalised) whose credentials these are;
   * `address` is the client's. Rejects with GatewayError `unauthenticated`, `too-many-requests` or
   * `authentication-unavailable`.
   */
  authenticate(credentials: PresentedCredentials, domain: string, address: string): Promise<Jid>;
  /** Throws GatewayError `permission-missing` unless the user has the xmppgateway permission. */
  authorize(user: Jid): void;
}

/** What the users need. */
export interface UsersOptions extends LoginOptions {
  readonly passwordCheck: PasswordCheck;
  readonly permissions: Pick<Permissions, 'has'>;
}

/** Creates the users of the XMPP server that `passwordCheck` asks. */
export function createUsers({ passwordCheck, permissions, ...options }: UsersOptions): Users {
  const login = createLogin(options);
  return {
    async authenticate(presented, domain, address) {
      const attempt = { presented, realm: domain, address };
      const jid = typeof presented === 'string' ? undefined : findUser(presented.username, domain);
      return login.authenticate(attempt, jid && createSubject(jid, passwordCheck));
    },
    authorize(user) {
      if (permissions.has(user)) return;
      throw new GatewayError(
        'permission-missing',
        `${user.toString()} needs the xmppgateway permission: an operator can grant it, with xmpp-message-gateway grant ${user.toString()} --config FILE, or in permissions.xmppgateway.`,
      );
    },
  };
}

function createSubject(jid: Jid, passwordCheck: PasswordCheck): Subject<Jid> {
  const name = jid.toString();
  return {
    principal: jid,
    name: `user ${name}`,
    identity: [name],
    check: (password: string) => passwordCheck(jid, password),
  };
}

/** Finds the user that a user name means: a localpart, or a bare JID of the same domain. */
function findUser(username: string, domain: string): Jid | undefined {
  try {
    if (!username.includes('@')) return createJid(username, domain);
    const jid = parseJid(username);
    const isBareHere =
      jid.local !== undefined && jid.resource === undefined && jid.domain === domain;
    return isBareHere ? jid : undefined;
  } catch (error) {
    if (error instanceof JidError) return undefined;
    throw error;
  }
}
