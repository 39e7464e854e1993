import { hash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../core/errors.ts';
import type { PresentedCredentials } from './basic-credentials.ts';
import type { Throttle } from './throttle/throttle.ts';

/** A failed login; `user` is the name that was tried, abbreviated, if the credentials held one. */
export interface LoginFailure {
  readonly address: string;
  readonly user: string | undefined;
}

/** What a login needs. */
export interface LoginOptions {
  /** How long correct credentials are remembered, in milliseconds; 0 remembers nothing. */
  readonly cacheMs: number;
  /** Shared by all kinds of login, so that one address cannot guess twice as often. */
  readonly throttle: Throttle;
  /**
   * Wrong credentials are refused a whole multiple of this time after their check began. The
   * duration of a check would otherwise reveal whether the user exists.
   */
  readonly refusalStepMs: number;
  /** Called for each failed login; the log is written from it. */
  readonly onFailure: (failure: LoginFailure) => void;
  /** Called with the result of each attempt that presented credentials. */
  readonly onResult?: (result: LoginResult) => void;
}

/** Known from the cache, checked and right, wrong or malformed, throttled, or not checkable. */
export type LoginResult = 'cached' | 'checked' | 'refused' | 'throttled' | 'unavailable';

/** The credentials of a request, and where they came from. */
export interface LoginAttempt {
  readonly presented: PresentedCredentials;
  /** The domain to log in for. */
  readonly realm: string;
  /** IP address of the client. */
  readonly address: string;
}

/** A user or account whose password can be checked. */
export interface Subject<T> {
  /** Who it is, for the caller. */
  readonly principal: T;
  /** The name that the throttle counts by. */
  readonly name: string;
  /** What correct credentials are remembered by, besides the password. */
  readonly identity: readonly string[];
  readonly check: (password: string) => Promise<boolean>;
}

/** Checks credentials, and remembers those that were correct. */
export interface Login {
  /**
   * Returns the principal of `subject` if its password is remembered, else resolves with it once the
   * password is known to be right; pass undefined if the user name cannot be anybody's. Throws or
   * rejects with GatewayError `unauthenticated`, `too-many-requests`, or as the check does.
   */
  authenticate<T>(attempt: LoginAttempt, subject: Subject<T> | undefined): T | Promise<T>;
}

const maxLoggedLength = 100;

/** Creates a login with an empty cache. */
export function createLogin(options: LoginOptions): Login {
  const { cacheMs, throttle, refusalStepMs, onFailure, onResult } = options;
  const cache = createCredentialCache(cacheMs);

  const isRight = async (
    address: string,
    { name, check }: Subject<unknown>,
    password: string,
    key: string,
  ): Promise<boolean> => {
    const known = cache.known(key);
    if (known !== undefined) {
      const answer = known === true || (await known);
      onResult?.(answer ? 'cached' : 'refused');
      return answer;
    }
    try {
      // Only a fresh check is throttled. After the wait another attempt may have made that check.
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

  const refuse = ({ presented, realm, address }: LoginAttempt): GatewayError => {
    const username = typeof presented === 'string' ? undefined : presented.username;
    onFailure({ address, user: username?.slice(0, maxLoggedLength) });
    return unauthenticated(realm, presented === 'not-utf8' ? notUtf8 : '');
  };

  const authenticateFresh = async <T>(
    attempt: LoginAttempt,
    subject: Subject<T>,
    password: string,
    key: string,
  ): Promise<T> => {
    const startedMs = performance.now();
    if (await isRight(attempt.address, subject, password, key)) return subject.principal;
    await delay(refusalStepMs - ((performance.now() - startedMs) % refusalStepMs));
    throw refuse(attempt);
  };

  return {
    authenticate(attempt, subject) {
      const { presented, realm, address } = attempt;
      if (presented === 'missing') throw unauthenticated(realm);
      if (subject === undefined || typeof presented === 'string') {
        throttle.fail(address);
        onResult?.('refused');
        throw refuse(attempt);
      }
      const key = cache.keyOf([...subject.identity, presented.password]);
      // At once, because this is almost every request.
      if (cache.known(key) === true) {
        onResult?.('cached');
        return subject.principal;
      }
      return authenticateFresh(attempt, subject, presented.password, key);
    },
  };
}

function isThrottled(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'too-many-requests';
}

const notUtf8 =
  'User name and password are not in UTF-8, but perhaps in Latin-1: send them in UTF-8. ';

/**
 * Missing, malformed, unknown and wrong credentials all get this one answer. A `hint` may only come from
 * the credentials themselves, not from what is known about the user.
 */
function unauthenticated(realm: string, hint = ''): GatewayError {
  return new GatewayError(
    'unauthenticated',
    `${hint}The user name or the password is missing or wrong, or the URL is that of the other kind of account. Log in with HTTP Basic authentication and credentials that are right for this domain: those of an API account at …/messages/<username>, those of an XMPP user at …/messages.`,
    { realm },
  );
}

const maxCacheEntries = 10_000;

/** Remembers which credentials were correct, and joins concurrent checks of the same credentials. */
export interface CredentialCache {
  /** The key of these parts; it reveals nothing about them to a later reader of the memory. */
  keyOf(parts: readonly string[]): string;
  /** `true` for remembered credentials, the pending result of a check under way, else undefined. */
  known(key: string): true | Promise<boolean> | undefined;
  /** Returns what is known, else the result of `check`; only `true` is remembered. */
  resolve(key: string, check: () => Promise<boolean>): true | Promise<boolean>;
}

/** Creates an empty cache that remembers for `cacheMs`; 0 remembers nothing. */
export function createCredentialCache(cacheMs: number): CredentialCache {
  const right = new LRUCache<string, true>({
    max: maxCacheEntries,
    ttl: cacheMs,
    perf: performance,
  });
  const checks = new Map<string, Promise<boolean>>();

  const remember = (key: string, start: number): void => {
    // Counted from the start of the check: the server's answer may be as old as that.
    if (cacheMs > 0) right.set(key, true, { start });
  };
  const start = (key: string, check: () => Promise<boolean>): Promise<boolean> => {
    const startedAt = performance.now();
    const answer = check().then((isRight) => {
      if (isRight) remember(key, startedAt);
      return isRight;
    });
    const joined = answer.finally(() => checks.delete(key));
    checks.set(key, joined);
    return joined;
  };
  const known = (key: string): true | Promise<boolean> | undefined =>
    right.get(key) ?? checks.get(key);

  return {
    keyOf: createKeyOf(),
    known,
    resolve: (key, check) => known(key) ?? start(key, check),
  };
}

/**
 * HMAC-SHA-256 (RFC 2104) under keys that exist only in this process. Each of the two keys fills a
 * whole block and takes the place of a padded one: this avoids the objects that `createHmac`
 * allocates.
 */
function createKeyOf(): (parts: readonly string[]) => string {
  const inner = createBlock();
  const outer = createBlock();
  // JSON keeps the parts apart, whatever they contain.
  return (parts) => hash('sha256', outer + hash('sha256', inner + JSON.stringify(parts)), 'base64');
}

/** 32 random bytes as 64 ASCII characters: one block of SHA-256. */
function createBlock(): string {
  return randomBytes(32).toString('hex');
}
