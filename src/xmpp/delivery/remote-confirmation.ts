import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Element } from 'ltx';
import type { Logger } from 'pino';
import { isSameAddress } from '../../core/jid/jid.ts';
import type { Receipt, Stanza } from '../../core/message/message.ts';
import { isSenderRefusal, readStanzaError } from '../../core/message/stanza-error.ts';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import type { ComponentConnection } from '../stream/connection.ts';
import { buildPing } from '../wire/iq.ts';
import { readBounce } from '../wire/outcome.ts';

/** What became of messages for other servers after our own server had processed them. */
export interface RemoteConfirmation {
  attach(connection: ComponentConnection): void;
  detach(): void;
  /** Tells all who wait that our own server has processed the message, and lets nobody wait any more. */
  finish(): void;
  /** Begins to look for a bounce of the stanza; to be called before it is written. */
  watch(stanza: Pick<Stanza, 'id' | 'from' | 'to'>): Watch;
  /** True when it was the bounce of a message that waits for the recipient's server. */
  takeBounce(stanza: Element): boolean;
  handleStanza(stanza: Element): void;
}

/** A message that is looked for. */
export interface Watch {
  /**
   * Waits until the recipient's server has processed the stanza, for as long as configured, and
   * tells whose server has. Rejects with GatewayError `bounced`.
   */
  confirm(): Promise<Receipt['confirmed']>;
  /** It was refused already: what bounces now is another. */
  forget(): void;
}

/** Without the text of the stanza: many are watched, and for long. */
interface Watched extends Pick<Stanza, 'from' | 'to'> {
  settle: ((outcome: Receipt['confirmed'] | Error) => void) | undefined;
  bounce: Error | undefined;
  /** Whether its fate is open, or the caller has been told already. */
  state: 'in flight' | 'processed' | 'answered';
  /** It had to make room: its bounce would not be recognised. */
  isUnwatched: boolean;
  /** Of the ping that was written last, and how many were. */
  pingId: string;
  pings: number;
}

/** Most messages whose bounces are still recognised, and for how long. */
const maxWatched = 20_000;
const watchedMs = 10 * 60 * 1000;

/** Of the messages of one sender with one id only the latest are watched. */
const maxSameId = 100;

/** Most pings for one message. */
const maxPings = 2;

/**
 * A ping (XEP-0199) from the sender's resource to the recipient's server is a barrier there: it
 * travels behind the message on the same server-to-server stream, and so do both answers. It goes to
 * a resource of the domain: a result is the answer of a server such as Prosody, which has processed
 * the message by then. ejabberd answers with an error, and its clients and rooms, which are processes
 * of their own, may still return the message after that: a second ping gives them time, and proves
 * nothing.
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
    dispose: (same, _key, reason) => {
      if (reason === 'evict' || reason === 'expire') unwatch(same);
    },
  });
  const pings = new Map<string, Watched>();
  let connection: ComponentConnection | undefined;
  let isFinishing = false;

  const settleAll = (): void => {
    for (const { settle } of pings.values()) settle?.('server');
  };

  const keep = (key: string, same: readonly Watched[]): void => {
    if (same.length === 0) watched.delete(key);
    else watched.set(key, same);
  };

  const forget = (key: string, message: Watched): void => {
    const same = watched.get(key) ?? [];
    keep(
      key,
      same.filter((it) => it !== message),
    );
  };

  const findBounced = (stanza: Element): readonly (readonly [string, Watched])[] => {
    const { id, from, to, type } = stanza.attrs;
    if (!stanza.is('message') || type !== 'error') return [];
    if (id === undefined || from === undefined || to === undefined) return [];
    const key = keyOf(id, to);
    const same = watched.get(key) ?? [];
    return same.filter((it) => isSameAddress(it.to, from)).map((it) => [key, it]);
  };

  const refuse = (stanza: Element, state: Watched['state']): boolean => {
    const found = findBounced(stanza).find(([, message]) => message.state === state);
    if (found === undefined) return false;
    const [key, message] = found;
    forget(key, message);
    message.bounce = readBounce(stanza);
    message.settle?.(message.bounce);
    return true;
  };

  const logLateBounce = (stanza: Element): void => {
    const found = findBounced(stanza).findLast(([, { state }]) => state === 'answered');
    if (found === undefined) return;
    const [key, message] = found;
    forget(key, message);
    options.onLateBounce?.();
    const { id, to: sender } = stanza.attrs;
    const { condition, type } = readBounce(stanza).options.stanzaError ?? {};
    const recipientDomain = message.to.domain;
    log.warn({ id, sender, recipientDomain, condition, type }, 'bounced after the answer');
  };

  const ask = (message: Watched): void => {
    pings.delete(message.pingId);
    message.pings += 1;
    message.pingId = `remote-${randomBytes(12).toString('hex')}`;
    pings.set(message.pingId, message);
    const from = escapeAttribute(message.from.toString());
    connection?.write(buildPing(message.pingId, from, addressOf(message)));
  };

  const awaitServer = async (message: Watched): Promise<Receipt['confirmed'] | Error> => {
    if (isFinishing || connection === undefined || connection.isBlocked()) return 'server';
    if (pings.size >= maxWatched) return 'server';
    let timer: NodeJS.Timeout | undefined;
    const outcome = await new Promise<Receipt['confirmed'] | Error>((settle) => {
      message.settle = settle;
      timer = setTimeout(settle, timeoutMs, 'server');
      ask(message);
    });
    clearTimeout(timer);
    message.settle = undefined;
    pings.delete(message.pingId);
    return outcome;
  };

  const handleAnswer = (message: Watched, stanza: Element): void => {
    const isError = stanza.attrs['type'] === 'error';
    if (isError && !isOfRemoteServer(stanza)) return;
    if (isError && message.pings < maxPings) {
      ask(message);
      return;
    }
    // Now, not when the caller goes on: the next bounce may be in the same chunk.
    message.state = 'answered';
    message.settle?.(isError || message.isUnwatched ? 'server' : 'remote');
  };

  return {
    attach: (next) => {
      connection = next;
    },
    detach: () => {
      connection = undefined;
      settleAll();
    },
    finish: () => {
      isFinishing = true;
      settleAll();
    },
    watch: ({ id, from, to }) => {
      const message: Watched = {
        from,
        to,
        settle: undefined,
        bounce: undefined,
        state: 'in flight',
        isUnwatched: false,
        pingId: '',
        pings: 0,
      };
      const key = keyOf(id, from.toString());
      const same = watched.get(key) ?? [];
      unwatch(same.slice(0, 1 - maxSameId));
      keep(key, [...same.slice(1 - maxSameId), message]);
      return {
        confirm: async () => {
          message.state = 'processed';
          const outcome = message.bounce ?? (timeoutMs > 0 ? await awaitServer(message) : 'server');
          message.state = 'answered';
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
        forget: () => forget(key, message),
      };
    },
    takeBounce: (stanza) => refuse(stanza, 'processed'),
    handleStanza: (stanza) => {
      const { id, from } = stanza.attrs;
      if (stanza.is('message')) {
        // Our server has just processed it, and whoever sent it has not been told yet.
        if (!refuse(stanza, 'in flight')) logLateBounce(stanza);
      } else if (id !== undefined && stanza.is('iq') && pings.size > 0) {
        const message = pings.get(id);
        if (message !== undefined && from === addressOf(message)) handleAnswer(message, stanza);
      }
    },
  };
}

function unwatch(messages: readonly Watched[]): void {
  for (const message of messages) message.isUnwatched = true;
}

/**
 * Our own server answers in the place of the other that it cannot be reached, or to wait, for the
 * queue of what goes there is full, or that it refuses the sender.
 */
function isOfRemoteServer(error: Element): boolean {
  if (isSenderRefusal(error)) return false;
  const { condition, type } = readStanzaError(error);
  return type !== 'wait' && !condition.startsWith('remote-server-');
}

function addressOf({ to }: Watched): string {
  return `${to.domain}/gateway`;
}

/** A copy: V8's slices keep the whole text alive that they were cut from. */
function keyOf(id: string, from: string): string {
  return Buffer.from(`${from} ${id}`).toString();
}
