import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import type { Credentials, PresentedCredentials } from './basic-credentials.ts';
import { createCredentialCache } from './credential-cache.ts';
import type { Throttle } from './throttle/throttle.ts';

/** A failed login; `user` is the name that was tried, abbreviated, when the credentials held one. */
export interface LoginFailure {
  readonly address: string;
  readonly user: string | undefined;
}

/** What a login needs. */
export interface LoginOptions {
  /** How long right credentials are remembered; 0: not at all. */
  readonly cacheMs: number;
  /** Shared by all kinds of login, so that an address cannot guess twice as often. */
  readonly throttle: Throttle;
  /**
   * Wrong credentials are refused a whole multiple of this after their check began, whatever it
   * took: else it would show whether there is such a user.
   */
  readonly refusalStepMs: number;
  /** Told of each failed login, for the log. */
  readonly onFailure: (failure: LoginFailure) => void;
  /** Told how each attempt with credentials went. */
  readonly onResult?: (result: LoginResult) => void;
}

/** Known from the cache, checked and right, wrong or malformed, throttled, or not checkable. */
export type LoginResult = 'cached' | 'checked' | 'refused' | 'throttled' | 'unavailable';

/** Who wants to log in, and where. */
export interface LoginAttempt {
  readonly presented: PresentedCredentials;
  /** The domain to log in for. */
  readonly realm: string;
  /** IP address of the client. */
  readonly address: string;
}

/** Somebody whose password can be checked. */
export interface Subject {
  /** Names the subject for the throttle. */
  readonly name: string;
  /** What right credentials are remembered for, besides the password. */
  readonly identity: readonly string[];
  readonly check: (password: string) => Promise<boolean>;
}

/** The way from credentials to a subject that has proven itself. */
export interface Login {
  /** The subject that `find` made of the user name, if its credentials are remembered: nothing is checked. */
  recall<T extends Subject>(
    presented: PresentedCredentials,
    find: (username: string) => T | undefined,
  ): T | undefined;
  /**
   * Resolves with the subject that `find` made of the user name, once its password is known to be
   * right. Rejects with GatewayError `unauthenticated`, `too-many-requests`, or as its check does.
   */
  authenticate<T extends Subject>(
    attempt: LoginAttempt,
    find: (username: string) => T | undefined,
  ): Promise<T>;
}

const maxLoggedLength = 100;

/** Creates a login with a cache of its own. */
export function createLogin(options: LoginOptions): Login {
  const { cacheMs, throttle, refusalStepMs, onFailure, onResult } = options;
  const cache = createCredentialCache(cacheMs);

  const refuse = ({ address, realm }: LoginAttempt, username?: string): GatewayError => {
    onFailure({ address, user: username?.slice(0, maxLoggedLength) });
    return unauthenticated(realm);
  };
  const refuseUnchecked = (attempt: LoginAttempt, username?: string): GatewayError => {
    throttle.fail(attempt.address);
    onResult?.('refused');
    return refuse(attempt, username);
  };
  const isRight = async (
    address: string,
    { name, identity, check }: Subject,
    password: string,
  ): Promise<boolean> => {
    const key = cache.keyOf([...identity, password]);
    const known = cache.known(key);
    if (known !== undefined) {
      const answer = await known;
      onResult?.(answer ? 'cached' : 'refused');
      return answer;
    }
    try {
      // Only a fresh check is throttled; whoever waited for one may find it done by another.
      const answer = await throttle.attempt(address, name, async () =>
        cache.resolve(key, () => check(password)),
      );
      onResult?.(answer ? 'checked' : 'refused');
      return answer;
    } catch (error) {
      onResult?.(isThrottled(error) ? 'throttled' : 'unavailable');
      throw error;
    }
  };

  return {
    recall(presented, find) {
      if (typeof presented === 'string') return undefined;
      const subject = find(presented.username);
      if (subject === undefined) return undefined;
      const key = cache.keyOf([...subject.identity, presented.password]);
      if (cache.known(key) !== true) return undefined;
      onResult?.('cached');
      return subject;
    },
    async authenticate(attempt, find) {
      const { presented, realm, address } = attempt;
      if (presented === 'missing') throw unauthenticated(realm);
      if (presented === 'malformed') throw refuseUnchecked(attempt);
      const { username, password }: Credentials = presented;
      const subject = find(username);
      if (subject === undefined) throw refuseUnchecked(attempt, username);
      const startedMs = performance.now();
      if (!(await isRight(address, subject, password))) {
        await delay(refusalStepMs - ((performance.now() - startedMs) % refusalStepMs));
        throw refuse(attempt, username);
      }
      return subject;
    },
  };
}

function isThrottled(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'too-many-requests';
}

/** The one answer to no, bad and unknown credentials. */
function unauthenticated(realm: string): GatewayError {
  return new GatewayError(
    'unauthenticated',
    'Log in with HTTP Basic authentication and credentials that are right for this domain: those of an API account at …/messages/<username>, those of an XMPP user at …/messages.',
    { realm },
  );
}
