import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Element } from 'ltx';
import type { Logger } from 'pino';
import { isSameAddress } from '../core/jid.ts';
import type { Receipt, Stanza } from '../core/message.ts';
import { readStanzaError } from '../core/stanza-error.ts';
import { escapeAttribute } from '../core/xml-serialize.ts';
import { readBounce } from './bounce.ts';
import type { ComponentConnection } from './component-connection.ts';
import { buildPing } from './iq.ts';

/** What became of messages for other servers after our own server had processed them. */
export interface RemoteConfirmation {
  attach(connection: ComponentConnection): void;
  detach(): void;
  /** Begins to look for a bounce of the stanza; to be called before it is written. */
  watch(stanza: Stanza): Confirm;
  handleStanza(stanza: Element): void;
}

/**
 * Waits until the recipient's server has processed the stanza, for as long as configured, and tells
 * whose server has. Rejects with GatewayError `bounced`.
 */
export type Confirm = () => Promise<Receipt['confirmed']>;

/** Without the text of the stanza: many are watched, and for long. */
interface Watched extends Pick<Stanza, 'from' | 'to'> {
  settle: ((outcome: Receipt['confirmed'] | Error) => void) | undefined;
  bounce: Error | undefined;
  isAnswered: boolean;
}

/** Most messages whose bounces are still recognised, and for how long. */
const maxWatched = 20_000;
const watchedMs = 10 * 60 * 1000;

/** Of the messages of one sender with one id only the latest are watched. */
const maxSameId = 100;

/**
 * A ping (XEP-0199) from the sender's resource to the recipient's server is a barrier there: it
 * travels behind the message on the same server-to-server stream, and so do both answers.
 */
export function createRemoteConfirmation(options: {
  /** 0: nobody waits, but bounces are still logged. */
  readonly timeoutMs: number;
  readonly log: Logger;
  readonly onLateBounce?: () => void;
}): RemoteConfirmation {
  const { timeoutMs, log } = options;
  /** By sender and id; the oldest first. */
  const watched = new LRUCache<string, readonly Watched[]>({
    maxSize: maxWatched,
    sizeCalculation: (same) => same.length,
    ttl: watchedMs,
  });
  const pings = new Map<string, Watched>();
  let connection: ComponentConnection | undefined;

  const keep = (key: string, same: readonly Watched[]): void => {
    if (same.length === 0) watched.delete(key);
    else watched.set(key, same);
  };

  const handleBounce = (stanza: Element, id: string, from: string, to: string): void => {
    const key = keyOf(id, to);
    const same = watched.get(key) ?? [];
    const message = same.find((it) => isSameAddress(it.to, from));
    if (message === undefined) return;
    keep(
      key,
      same.filter((it) => it !== message),
    );
    const error = readBounce(stanza);
    message.bounce = error;
    message.settle?.(error);
    if (!message.isAnswered) return;
    options.onLateBounce?.();
    const { condition, type } = error.options.stanzaError ?? {};
    const recipientDomain = message.to.domain;
    log.warn({ id, sender: to, recipientDomain, condition, type }, 'bounced after the answer');
  };

  const ping = async (message: Watched): Promise<Receipt['confirmed'] | Error> => {
    if (connection === undefined || connection.isBlocked() || pings.size >= maxWatched) {
      return 'server';
    }
    const { from, to } = message;
    const id = `remote-${randomBytes(12).toString('hex')}`;
    pings.set(id, message);
    connection.write(buildPing(id, escapeAttribute(from.toString()), to.domain));
    let timer: NodeJS.Timeout | undefined;
    const outcome = await new Promise<Receipt['confirmed'] | Error>((settle) => {
      message.settle = settle;
      timer = setTimeout(settle, timeoutMs, 'server');
    });
    clearTimeout(timer);
    message.settle = undefined;
    pings.delete(id);
    return outcome;
  };

  return {
    attach: (next) => {
      connection = next;
    },
    detach: () => {
      connection = undefined;
      for (const { settle } of pings.values()) settle?.('server');
    },
    watch: ({ id, from, to }) => {
      const message: Watched = {
        from,
        to,
        settle: undefined,
        bounce: undefined,
        isAnswered: false,
      };
      const key = keyOf(id, from.toString());
      const same = watched.get(key) ?? [];
      keep(key, [...same.slice(1 - maxSameId), message]);
      return async () => {
        const outcome = message.bounce ?? (timeoutMs > 0 ? await ping(message) : 'server');
        message.isAnswered = true;
        if (outcome instanceof Error) throw outcome;
        return outcome;
      };
    },
    handleStanza: (stanza) => {
      const { id, from, to, type } = stanza.attrs;
      if (id === undefined || from === undefined || to === undefined) return;
      if (stanza.is('message') && type === 'error') {
        handleBounce(stanza, id, from, to);
      } else if (stanza.is('iq') && pings.size > 0) {
        const message = pings.get(id);
        if (message === undefined || from !== message.to.domain) return;
        if (isProcessed(stanza)) message.settle?.('remote');
      }
    },
  };
}

/**
 * An error of another kind says as well that the remote server has read the ping. Our own says in
 * its place that it cannot be reached, or to wait: the queue of what goes there is full.
 */
function isProcessed(stanza: Element): boolean {
  if (stanza.attrs['type'] !== 'error') return true;
  const { condition, type } = readStanzaError(stanza);
  return type !== 'wait' && !condition.startsWith('remote-server-');
}

/** A copy: V8's slices keep the whole text alive that they were cut from. */
function keyOf(id: string, from: string): string {
  return Buffer.from(`${from} ${id}`).toString();
}
