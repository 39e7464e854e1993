import { GatewayError } from '../core/errors.ts';
import { type Jid, JidError, parseDomain, parseJid } from '../core/jid/jid.ts';
import { quote } from '../core/text.ts';

const everybody = '*@';

/**
 * Parses the holder of a permission: a bare JID, or `*@domain` for every user of the domain. Returns
 * it normalised, and its domain; throws JidError.
 */
export function parsePermission(text: string): {
  readonly pattern: string;
  readonly domain: string;
} {
  if (text.startsWith(everybody)) {
    const domain = parseDomain(text.slice(everybody.length));
    return { pattern: everybody + domain, domain };
  }
  const jid = parseJid(text);
  // An asterisk elsewhere is legal in a localpart, but here it is surely meant as a pattern.
  if (jid.local === undefined || jid.resource !== undefined || jid.local.includes('*')) {
    throw new JidError('expected a bare JID or *@domain');
  }
  return { pattern: jid.toString(), domain: jid.domain };
}

/** The xmppgateway permissions in the state file, which add to those of the configuration. */
export interface Grants {
  /** Bare JIDs and `*@domain`, normalised, as last read. */
  readonly current: ReadonlySet<string>;
  /**
   * Grants or revokes. Resolves once the change is on the disk, with whether anything changed;
   * rejects with an Error if the file cannot be read or written.
   */
  set(pattern: string, isGranted: boolean): Promise<boolean>;
  /** Starts to follow changes by other processes; `onError` is called if the file cannot be read. */
  watch(onError: (error: unknown) => void): void;
  stop(): void;
}

/** Who has the xmppgateway permission, by the configuration or by a grant. */
export interface Permissions {
  has(user: Jid): boolean;
  /**
   * Grants, or revokes the user's grant; rejects with GatewayError `granted-in-configuration` if the user
   * still has the permission after that, or `store-unavailable`.
   */
  set(user: Jid, isGranted: boolean): Promise<void>;
  /** Replaces the permissions of the configuration. */
  update(configured: readonly string[]): void;
}

/** Creates the permissions; `configured` are bare JIDs and `*@domain`, normalised. */
export function createPermissions(
  configured: readonly string[],
  grants: Pick<Grants, 'current' | 'set'> | undefined,
): Permissions {
  let fixed = new Set(configured);
  return {
    has: (user) =>
      findPattern(user, fixed) !== undefined ||
      (grants !== undefined && findPattern(user, grants.current) !== undefined),
    set: async (user, isGranted) => {
      if (grants === undefined) {
        throw new GatewayError(
          'management-not-allowed',
          'This gateway keeps no grants: its configuration has no permissions.state_file.',
        );
      }
      const name = user.toString();
      const refuseOthers = (): void => {
        refuseFixed(name, findPattern(user, fixed), 'permissions.xmppgateway of the configuration');
        refuseFixed(name, findPattern(user, grants.current), 'permissions.state_file');
      };
      const hasGrant = grants.current.has(name);
      if (!isGranted && !hasGrant) refuseOthers();
      await grants.set(name, isGranted).catch((error: unknown) => {
        throw new GatewayError('store-unavailable', 'The grants cannot be changed now.', {
          retryAfterSeconds: 5,
          cause: error,
        });
      });
      // Otherwise the grant would hold again once the others are revoked.
      if (!isGranted && hasGrant) refuseOthers();
    },
    update: (next) => {
      fixed = new Set(next);
    },
  };
}

function refuseFixed(name: string, pattern: string | undefined, place: string): void {
  if (pattern === undefined) return;
  throw new GatewayError(
    'granted-in-configuration',
    `${name} has the permission by ${quote(pattern)} in ${place}, and it has to be revoked there.`,
  );
}

/** Finds the pattern that permits the user: the bare JID itself, or `*@domain`. */
function findPattern(user: Jid, patterns: ReadonlySet<string>): string | undefined {
  return [user.toString(), everybody + user.domain].find((pattern) => patterns.has(pattern));
}
