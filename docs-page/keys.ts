/** How many messages are remembered; an earlier one is forgotten. */
const mostKeys = 20;

/** The Idempotency-Keys of the messages whose fate is not known, by their content. */
export interface Keys {
  /** Returns the key of a message: the same until it is dropped, so that it is not sent twice. */
  find(content: string): string;
  /** Forgets the key of a message whose fate is known: sent again, it is another message. */
  drop(content: string): void;
}

/**
 * Creates the keys, with those that were kept before the page was loaded again. `keep` is called with
 * what to keep whenever that changes. That is before the message is sent, because a reload may lose its
 * answer.
 */
export function createKeys(kept: unknown, keep: (entries: readonly unknown[]) => void): Keys {
  const keys = new Map<string, string>();
  for (const entry of Array.isArray(kept) ? kept : []) {
    const [content, key] = Array.isArray(entry) ? entry : [];
    if (typeof content === 'string' && typeof key === 'string') keys.set(content, key);
  }
  return {
    find(content) {
      const key = keys.get(content) ?? createKey();
      // The one that was sent last is forgotten last.
      keys.delete(content);
      keys.set(content, key);
      for (const oldest of [...keys.keys()].slice(0, -mostKeys)) keys.delete(oldest);
      keep([...keys]);
      return key;
    },
    drop(content) {
      if (keys.delete(content)) keep([...keys]);
    },
  };
}

/** An Idempotency-Key; over plain HTTP, browsers offer no other source of randomness. */
function createKey(): string {
  return `page-${crypto.getRandomValues(new BigUint64Array(2)).join('-')}`;
}
