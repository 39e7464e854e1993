import { isIPv6 } from 'node:net';
import type { createClient } from '@redis/client';
import { Secret } from '../core/secret.ts';
import { describeError } from '../core/text.ts';

type Client = ReturnType<typeof createClient>;

/** A connection to Redis that reconnects whenever it is lost. */
export interface RedisConnection {
  /** Starts to connect. */
  start(): void;
  stop(): void;
  /**
   * Resolves with the answer of Redis to the command. Rejects at once if there is no connection, and
   * after a deadline if there is no answer.
   */
  run<T>(command: (client: Client) => Promise<T>): Promise<T>;
  /** Why commands cannot be run now; undefined while they can. */
  readonly failure: () => string | undefined;
}

/** Deadline for a command, and for opening a connection. */
const deadlineMs = 1000;

/** Pause between two proofs that Redis accepts writes. */
const proofMs = 1000;

/** Maximum number of commands that await their answers. */
const maxCommands = 10_000;

const backOffMs = [100, 200, 500, 1000, 2000];

/** Where the Redis is, and for `rediss:` how it and the gateway prove who they are. */
export interface RedisAddress {
  readonly url: Secret;
  /** Redis Sentinels (`host:port`); if there are any, the host of `url` is a name that they know. */
  readonly sentinels?: readonly string[];
  /** In PEM; without `ca` the system's CAs are trusted. */
  readonly tls?:
    | {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: Secret | undefined;
      }
    | undefined;
}

/** The Redis to connect to, and what is called when the connection changes. */
export interface RedisOptions extends RedisAddress {
  /** A connection has been opened, and Redis accepts writes. */
  readonly onReady: () => void;
  /** Redis has just accepted a write. */
  readonly onProven?: () => void;
  /**
   * The connection was lost for this reason; the next attempt starts in `retryInMs`. `isRepeated`
   * means that the attempt before failed for the same reason.
   */
  readonly onDown: (reason: string, retryInMs: number, isRepeated: boolean) => void;
}

/**
 * Creates a supervised connection to Redis. A command that is not answered in time closes the
 * connection, so that nothing piles up while Redis hangs.
 */
export function createRedisConnection(options: RedisOptions): RedisConnection {
  const { onReady, onProven, onDown } = options;
  let client: Client | undefined;
  let failure: string | undefined = 'the connection is being opened';
  let timer: NodeJS.Timeout | undefined;
  let attempts = 0;
  let isStopped = false;
  let lastReason: string | undefined;

  const lose = (lost: Client | undefined, error: unknown): void => {
    if (lost !== client || isStopped) return;
    client = undefined;
    failure = describeError(error);
    if (lost?.isOpen === true) lost.destroy();
    clearTimeout(timer);
    const retryInMs = Math.round(reconnectDelay(attempts) * (0.75 + Math.random() / 4));
    timer = setTimeout(() => void open(), retryInMs);
    attempts += 1;
    const isRepeated = failure === lastReason;
    lastReason = failure;
    onDown(failure, retryInMs, isRepeated);
  };
  const runOn = async <T>(target: Client, command: (client: Client) => Promise<T>): Promise<T> => {
    const running = command(target);
    try {
      return await answerInTime(running);
    } catch (error) {
      if (error instanceof StoreTimeout) lose(target, error);
      throw error;
    }
  };
  const keepProving = (target: Client): void => {
    if (target !== client) return;
    onProven?.();
    timer = setTimeout(() => {
      runOn(target, writeProof).then(
        () => keepProving(target),
        (error: unknown) => lose(target, error),
      );
    }, proofMs);
  };
  const open = async (): Promise<void> => {
    let opened: Client | undefined;
    try {
      const url = await findPrimary(options);
      opened = await createUnopened({ ...options, url });
      if (isStopped) return;
      client = opened;
      opened.on('error', (error: unknown) => lose(opened, error));
      await answerInTime(opened.connect());
      await runOn(opened, writeProof);
    } catch (error) {
      lose(opened, error);
      return;
    }
    if (client !== opened) return;
    failure = undefined;
    attempts = 0;
    lastReason = undefined;
    keepProving(opened);
    onReady();
  };

  return {
    start: () => void open(),
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      if (client?.isOpen === true) client.destroy();
    },
    run: async (command) => {
      if (client === undefined || failure !== undefined) throw new Error(failure ?? 'stopped');
      return runOn(client, command);
    },
    failure: () => failure,
  };
}

const proofScript = `return redis.call('set', KEYS[1], '1', 'px', ARGV[1])`;

/**
 * A write, because a replica or a Redis without free memory still answers pings; by a script, because
 * scripts are what the gateway's Redis user must be allowed to run.
 */
function writeProof(client: Client): Promise<unknown> {
  return client.eval(proofScript, {
    keys: ['xmpp-message-gateway:proof'],
    arguments: [String(10 * proofMs)],
  });
}

class StoreTimeout extends Error {}

/** Redis is optional and its client is big, so it is loaded only when it is needed. */
async function createUnopened({ url, tls }: RedisAddress): Promise<Client> {
  const { createClient } = await import('@redis/client');
  const socket = { connectTimeout: deadlineMs, reconnectStrategy: false } as const;
  const isTls = /^rediss:/i.test(url.reveal());
  return createClient({
    url: url.reveal(),
    socket: isTls
      ? { ...socket, tls: true, ca: tls?.ca, cert: tls?.cert, key: tls?.key?.reveal() }
      : socket,
    disableOfflineQueue: true,
    commandsQueueMaxLength: maxCommands,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  });
}

/**
 * Resolves with the URL of the server that accepts writes, as the first Sentinel says that answers.
 * After a failover the old connection is lost, or its proof fails, and so this is asked again. Each
 * attempt begins with another Sentinel: one that is cut off from the others knows only the old server.
 */
async function findPrimary({ url, sentinels = [], tls }: RedisAddress): Promise<Secret> {
  if (sentinels.length === 0) return url;
  const primary = new URL(url.reveal());
  const name = primary.hostname;
  const failures: string[] = [];
  const first = Math.floor(Math.random() * sentinels.length);
  for (const sentinel of [...sentinels.slice(first), ...sentinels.slice(0, first)]) {
    try {
      primary.host = await askSentinel(
        { url: new Secret(`${primary.protocol}//${sentinel}`), tls },
        name,
      );
      return new Secret(primary.href);
    } catch (error) {
      failures.push(`${sentinel}: ${describeError(error)}`);
    }
  }
  throw new Error(`no Sentinel names the server ${name}: ${failures.join('; ')}`);
}

/** Asks a Sentinel where the server with this name is; resolves with `host:port`. */
async function askSentinel(address: RedisAddress, name: string): Promise<string> {
  const client = await createUnopened(address);
  // Each failure also rejects what is awaited.
  client.on('error', () => {});
  try {
    await answerInTime(client.connect());
    const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name];
    const found: unknown = await answerInTime(client.sendCommand(command));
    if (!Array.isArray(found)) throw new Error('it does not know that name');
    const [host, port] = found.map(String);
    return `${isIPv6(host ?? '') ? `[${host}]` : host}:${port}`;
  } finally {
    if (client.isOpen) client.destroy();
  }
}

async function answerInTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreTimeout(`no answer within ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function reconnectDelay(attempts: number): number {
  return backOffMs[Math.min(attempts, backOffMs.length - 1)] ?? 0;
}
