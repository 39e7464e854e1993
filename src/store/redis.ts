import type { createClient } from '@redis/client';
import type { Secret } from '../core/secret.ts';
import { describeError } from '../core/text.ts';

type Client = ReturnType<typeof createClient>;

/** A connection to Redis that is opened anew whenever it is lost. */
export interface RedisConnection {
  /** Begins to connect. */
  start(): void;
  stop(): void;
  /** Resolves with what Redis says to the command; rejects at once without connection, else in time. */
  run<T>(command: (client: Client) => Promise<T>): Promise<T>;
  /** Why commands cannot be run now; undefined when they can. */
  readonly failure: () => string | undefined;
}

/** Deadline of a command, and of a connection to be opened. */
const deadlineMs = 1000;

/** Pause between two proofs that Redis takes what is written. */
const proofMs = 1000;

/** Most commands that wait for their answers. */
const maxCommands = 10_000;

const backOffMs = [100, 200, 500, 1000, 2000];

/**
 * Creates a supervised connection to the Redis at `url`. A command that is not answered in time ends
 * the connection, so nothing piles up behind a Redis that hangs; `onReady` is called on each new one.
 * `onProven` is called whenever Redis has just taken what was written.
 */
export function createRedisConnection(options: {
  readonly url: Secret;
  readonly onReady: () => void;
  readonly onProven?: () => void;
  /** Told why, and when the next attempt begins; `isRepeated` for the same reason as before. */
  readonly onDown: (reason: string, retryInMs: number, isRepeated: boolean) => void;
}): RedisConnection {
  const { url, onReady, onProven, onDown } = options;
  let client: Client | undefined;
  let failure: string | undefined = 'the connection is being opened';
  let timer: NodeJS.Timeout | undefined;
  let attempts = 0;
  let isStopped = false;
  let toldReason: string | undefined;

  const lose = (lost: Client | undefined, error: unknown): void => {
    if (lost !== client || isStopped) return;
    client = undefined;
    failure = describeError(error);
    if (lost?.isOpen === true) lost.destroy();
    clearTimeout(timer);
    const retryInMs = Math.round(reconnectDelay(attempts) * (0.75 + Math.random() / 4));
    timer = setTimeout(() => void open(), retryInMs);
    attempts += 1;
    const isRepeated = failure === toldReason;
    toldReason = failure;
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
  const prove = async (target: Client): Promise<void> => {
    // A write, because a replica or a Redis without memory answers a ping as if nothing were wrong;
    // by a script, because that is what a user of this Redis has to be allowed.
    await runOn(target, (one) =>
      one.eval(proofScript, {
        keys: ['xmpp-message-gateway:proof'],
        arguments: [String(10 * proofMs)],
      }),
    );
  };
  const keepProving = (target: Client): void => {
    if (target !== client) return;
    onProven?.();
    timer = setTimeout(() => {
      prove(target).then(
        () => keepProving(target),
        (error: unknown) => lose(target, error),
      );
    }, proofMs);
  };
  const open = async (): Promise<void> => {
    let opened: Client | undefined;
    try {
      opened = await createUnopened(url);
      if (isStopped) return;
      client = opened;
      opened.on('error', (error: unknown) => lose(opened, error));
      await answerInTime(opened.connect());
      await prove(opened);
    } catch (error) {
      lose(opened, error);
      return;
    }
    if (client !== opened) return;
    failure = undefined;
    attempts = 0;
    toldReason = undefined;
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

class StoreTimeout extends Error {}

/** The module is big and only loaded where there is a Redis. */
async function createUnopened(url: Secret): Promise<Client> {
  const { createClient } = await import('@redis/client');
  return createClient({
    url: url.reveal(),
    socket: { connectTimeout: deadlineMs, reconnectStrategy: false },
    disableOfflineQueue: true,
    commandsQueueMaxLength: maxCommands,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  });
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
