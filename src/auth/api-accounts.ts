import { GatewayError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { quote } from '../core/text.ts';
import type { PresentedCredentials } from './basic-credentials.ts';
import { createLogin, type LoginOptions, type Subject } from './login.ts';
import { createUnmatchableHash, verifyPassword } from './password-hash.ts';
import { createSenderTest } from './patterns.ts';

/** An account as it is configured. */
export interface ApiAccountOptions {
  /** In Unicode's normalisation form NFC. */
  readonly username: string;
  /** A scrypt hash in the PHC string format. */
  readonly passwordHash: Secret;
  /** The domains that it may send for, normalised. */
  readonly domains: readonly string[];
  /** The localparts that it may send as, normalised; `*` matches any characters. */
  readonly senders: readonly string[];
  /** Whether it may change permissions. */
  readonly manage: boolean;
}

/** An account that may send as any user within its scope. */
export interface ApiAccount {
  readonly username: string;
  readonly domains: ReadonlySet<string>;
  /** Whether it may send as this localpart (normalised). */
  readonly isSender: (localpart: string) => boolean;
  readonly mayManage: boolean;
}

/** The configured API accounts. */
export interface ApiAccounts {
  /**
   * Resolves with the account that has these credentials; `realm` is the domain of the request,
   * `address` that of the client. Rejects with GatewayError `unauthenticated`, `too-many-requests` or
   * `overloaded`.
   */
  authenticate(
    credentials: PresentedCredentials,
    realm: string,
    address: string,
  ): Promise<ApiAccount>;
  /**
   * Throws GatewayError `domain-not-allowed` or `sender-not-allowed` unless the account may send as
   * `localpart` of `domain`, both normalised.
   */
  authorize(account: ApiAccount, domain: string, localpart: string): void;
  /** Like `authorize`; also throws `management-not-allowed` if the account may not change permissions. */
  authorizeManagement(account: ApiAccount, domain: string, localpart: string): void;
  /** Replaces the accounts; an account whose hash has changed needs its new password at once. */
  update(accounts: readonly ApiAccountOptions[]): void;
}

/** What the API accounts need. */
export interface ApiAccountsOptions extends LoginOptions {
  readonly accounts: readonly ApiAccountOptions[];
}

interface StoredAccount extends ApiAccount {
  readonly hash: string;
}

interface Accounts {
  readonly byName: ReadonlyMap<string, StoredAccount>;
  /** Checked for unknown names, so that their refusal takes as long as that of a wrong password. */
  readonly nobody: StoredAccount;
}

/** Creates the API accounts. */
export function createApiAccounts({ accounts, ...options }: ApiAccountsOptions): ApiAccounts {
  const login = createLogin(options);
  let current = load(accounts);
  return {
    async authenticate(presented, realm, address) {
      const subject =
        typeof presented === 'string' ? undefined : createSubject(presented.username, current);
      return login.authenticate({ presented, realm, address }, subject);
    },
    authorize,
    authorizeManagement(account, domain, localpart) {
      if (!account.mayManage) {
        const detail = `The API account ${quote(account.username)} lacks manage: true.`;
        throw new GatewayError('management-not-allowed', detail);
      }
      authorize(account, domain, localpart);
    },
    update(next) {
      current = load(next);
    },
  };
}

/** Refuses a sender outside the account's scope. */
function authorize(
  { username, domains, isSender }: ApiAccount,
  domain: string,
  localpart: string,
): void {
  if (!domains.has(domain)) {
    const detail = `The API account ${quote(username)} may not send for ${domain}.`;
    throw new GatewayError('domain-not-allowed', detail);
  }
  if (!isSender(localpart)) {
    const detail = `The API account ${quote(username)} may not send as ${quote(localpart)}.`;
    throw new GatewayError('sender-not-allowed', detail);
  }
}

/**
 * In UTF-16 code units; longer names are never found. Normalisation takes a time that grows with the
 * square of the number of combining marks, and comes before the throttle.
 */
const maxNameLength = 1023;

function createSubject(presentedName: string, { byName, nobody }: Accounts): Subject<ApiAccount> {
  const username =
    presentedName.length > maxNameLength ? presentedName : presentedName.normalize('NFC');
  const account = byName.get(username) ?? nobody;
  const { hash } = account;
  return {
    principal: account,
    name: `account ${username}`,
    identity: [username, hash],
    check: async (password: string) => (await verifyPassword(password, hash)) && account !== nobody,
  };
}

function load(accounts: readonly ApiAccountOptions[]): Accounts {
  return {
    byName: new Map(accounts.map((account) => [account.username, store(account)])),
    nobody: {
      username: '',
      domains: new Set(),
      isSender: () => false,
      mayManage: false,
      hash: createUnmatchableHash(accounts[0]?.passwordHash.reveal()),
    },
  };
}

function store({
  username,
  passwordHash,
  domains,
  senders,
  manage,
}: ApiAccountOptions): StoredAccount {
  return {
    username,
    domains: new Set(domains),
    isSender: createSenderTest(senders),
    mayManage: manage,
    hash: passwordHash.reveal(),
  };
}
