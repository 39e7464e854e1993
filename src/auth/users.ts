import { GatewayError } from '../core/errors.ts';
import { createJid, type Jid, JidError, parseJid } from '../core/jid/jid.ts';
import type { PasswordCheck } from '../core/message/ports.ts';
import type { PresentedCredentials } from './basic-credentials.ts';
import { createLogin, type LoginOptions, type Subject } from './login.ts';
import type { Permissions } from './permissions.ts';

/** The XMPP users, who send as themselves. */
export interface Users {
  /** The bare JID of the user on `domain` whose credentials these are, if they are remembered. */
  recall(credentials: PresentedCredentials, domain: string): Jid | undefined;
  /**
   * Resolves with the bare JID of the user whose credentials these are, on `domain` (normalised);
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

interface UserSubject extends Subject {
  readonly jid: Jid;
}

/** Creates the users of the XMPP server that `passwordCheck` asks. */
export function createUsers({ passwordCheck, permissions, ...options }: UsersOptions): Users {
  const login = createLogin(options);
  const findIn =
    (domain: string) =>
    (username: string): UserSubject | undefined => {
      const found = findUser(username, domain);
      return found && createSubject(found, passwordCheck);
    };
  return {
    recall: (presented, domain) => login.recall(presented, findIn(domain))?.jid,
    async authenticate(presented, domain, address) {
      const attempt = { presented, realm: domain, address };
      const { jid } = await login.authenticate(attempt, findIn(domain));
      return jid;
    },
    authorize(user) {
      if (permissions.has(user)) return;
      throw new GatewayError(
        'permission-missing',
        `${user.toString()} needs the xmppgateway permission: an operator can grant it.`,
      );
    },
  };
}

function createSubject(jid: Jid, passwordCheck: PasswordCheck): UserSubject {
  const name = jid.toString();
  return {
    jid,
    name: `user ${name}`,
    identity: [name],
    check: (password: string) => passwordCheck(jid, password),
  };
}

/** The user of a Basic user name: a localpart, or a bare JID of the same domain. */
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
