import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';

const maxEntries = 10_000;

/** Remembers which credentials were right, and joins checks of the same credentials into one. */
export interface CredentialCache {
  /** The key of these parts; it tells nothing about them to whoever reads the memory later. */
  keyOf(parts: readonly string[]): string;
  /** `true` for credentials that are remembered, the answer to come of a check under way, or nothing. */
  known(key: string): true | Promise<boolean> | undefined;
  /** What is known, or else what `check` says; only `true` is remembered. */
  resolve(key: string, check: () => Promise<boolean>): true | Promise<boolean>;
}

/** Creates an empty cache that remembers for `cacheMs`; 0 remembers nothing. */
export function createCredentialCache(cacheMs: number): CredentialCache {
  const right = new LRUCache<string, true>({ max: maxEntries, ttl: cacheMs, perf: performance });
  const checks = new Map<string, Promise<boolean>>();

  const remember = (key: string, start: number): void => {
    // Counted from the start of the check: what the server said may be as old as that.
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
 * HMAC-SHA-256 (RFC 2104) under keys that exist only in this process. Two keys of a whole block
 * each stand for its padded ones, which spares the crypto objects that `createHmac` allocates.
 */
function createKeyOf(): (parts: readonly string[]) => string {
  const inner = createBlock();
  const outer = createBlock();
  // JSON keeps the parts apart whatever they hold.
  return (parts) => hash('sha256', outer + hash('sha256', inner + JSON.stringify(parts)), 'base64');
}

/** 32 random bytes as 64 ASCII characters: one block of SHA-256. */
function createBlock(): string {
  return randomBytes(32).toString('hex');
}
