import type { ApiAccounts } from '../../auth/api-accounts.ts';
import { parseBasicCredentials } from '../../auth/basic-credentials.ts';
import type { Users } from '../../auth/users.ts';
import { createJid, type Jid } from '../../core/jid/jid.ts';

/** Who says whose credentials are good and what they are good for. */
export interface SenderPorts {
  readonly users: Users;
  readonly apiAccounts: ApiAccounts;
}

/** Who a message is from, and who asks for it. */
export interface Sender {
  /** The bare JID. */
  readonly from: Jid;
  /** Names the API account or the XMPP user, each in a space of its own. */
  readonly caller: string;
}

/**
 * Finds the sender that the credentials may speak as: without `localpart` the XMPP user itself, else
 * that user of the domain, by an API account. Rejects as the two do.
 */
export async function findSender(
  { users, apiAccounts }: SenderPorts,
  authorization: string | undefined,
  address: string,
  domain: string,
  localpart: string | undefined,
): Promise<Sender> {
  const credentials = parseBasicCredentials(authorization);
  if (localpart === undefined) {
    const user = await users.authenticate(credentials, domain, address);
    users.authorize(user);
    return { from: user, caller: `user ${user.toString()}` };
  }
  const account = await apiAccounts.authenticate(credentials, domain, address);
  apiAccounts.authorize(account, domain, localpart);
  return { from: createJid(localpart, domain), caller: `account ${account.username}` };
}
