import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import {
  createRedisConnection,
  type RedisAddress,
  type RedisConnection,
} from '../../../src/store/redis.ts';
import { type Certificates, createCertificates } from '../../support/system/certificates.ts';
import { createDirectory, removeDirectory } from '../../support/system/processes.ts';
import { type RedisServer, startRedis, startSentinel } from '../../support/system/redis.ts';
import { waitUntil } from '../../support/system/wait.ts';

let redis: RedisServer;

let folder: string;
let certificates: Certificates;

beforeAll(async () => {
  folder = createDirectory('redis-tls');
  certificates = await createCertificates(folder, ['redis.example']);
  redis = await startRedis({ certificates });
});
afterAll(async () => {
  await redis?.stop();
  removeDirectory(folder);
});

interface Watched {
  readonly connection: RedisConnection;
  readonly events: readonly string[];
}

function connect(url: string, others: Omit<RedisAddress, 'url'> = {}): Watched {
  const events: string[] = [];
  const connection = createRedisConnection({
    ...others,
    url: new Secret(url),
    onReady: () => void events.push('ready'),
    onDown: (reason, _retryInMs, isRepeated) =>
      void events.push(isRepeated ? 'down again' : `down: ${reason}`),
  });
  onTestFinished(() => connection.stop());
  connection.start();
  return { connection, events };
}

async function untilEvent({ events }: Watched, event: string | RegExp): Promise<void> {
  await waitUntil(() => events.some((one) => one === event || new RegExp(event).test(one)), {
    label: `${event}, not ${events.join(', ')}`,
  });
}

test('runs commands once it is ready', async () => {
  const watched = connect(redis.url);
  await expect(watched.connection.run((client) => client.ping())).rejects.toThrow('being opened');
  await untilEvent(watched, 'ready');
  expect(await watched.connection.run((client) => client.ping())).toBe('PONG');
  expect(watched.connection.failure()).toBeUndefined();
});

test.each([
  ['a wrong password', (url: string) => url.replace('redis-secret', 'wrong'), /WRONGPASS/],
  ['nobody there', () => 'redis://127.0.0.1:1', /ECONNREFUSED/],
])('says why it is down without the password: %s', async (_, change, reason) => {
  const watched = connect(change(redis.url));
  await untilEvent(watched, 'down again');
  expect(watched.connection.failure()).toMatch(reason);
  expect(watched.events.join()).not.toMatch(/wrong@|redis-secret/);
});

describe('with TLS', () => {
  const read = (file: string): string => readFileSync(file, 'utf8');
  const own = (): NonNullable<RedisAddress['tls']> => ({
    ca: read(certificates.caFile),
    cert: read(certificates.certFile),
    key: new Secret(read(certificates.keyFile)),
  });

  test('runs commands', async () => {
    const watched = connect(redis.tlsUrl(), { tls: own() });
    await untilEvent(watched, 'ready');
    const info = await watched.connection.run((client) => client.ping());
    expect(info).toBe('PONG');
  });

  test.each([
    ['another CA', { ca: undefined }, /certificate/],
    ['no certificate of its own', { cert: undefined, key: undefined }, /certificate required/],
  ])('says why it is down: %s', async (_, change, reason) => {
    const watched = connect(redis.tlsUrl(), { tls: { ...own(), ...change } });
    await untilEvent(watched, 'down again');
    expect(watched.connection.failure()).toMatch(reason);
  });

  test('refuses a certificate for another host', async () => {
    const watched = connect(redis.tlsUrl('localhost'), { tls: own() });
    await untilEvent(watched, 'down again');
    expect(watched.connection.failure()).toMatch(/altnames/);
  });

  test('gives up a Redis without it', async () => {
    const watched = connect(redis.url.replace('redis:', 'rediss:'), { tls: own() });
    await untilEvent(watched, 'down again');
    expect(watched.connection.failure()).toMatch(/SSL|no answer|closed/);
  });
});

describe('with Sentinels', () => {
  test('follows the primary', async () => {
    const primary = await startRedis();
    onTestFinished(() => primary.stop());
    const replica = await startRedis({ replicaOf: primary });
    onTestFinished(() => replica.stop());
    await waitUntil(async () => String(await replica.command('ROLE')).includes(',connected,'), {
      label: 'the replica to be connected',
    });
    const sentinel = await startSentinel(primary);
    onTestFinished(() => sentinel.stop());
    const watched = connect(`redis://:${primary.password}@mymaster/0`, {
      // The first one does not answer.
      sentinels: ['127.0.0.1:1', sentinel.address],
    });
    const portNow = async (): Promise<string | undefined> => {
      const config = await watched.connection.run((client) => client.configGet('port'));
      return config['port'];
    };
    await untilEvent(watched, 'ready');
    expect(await portNow()).toBe(String(primary.port));
    await primary.halt('SIGKILL');
    await waitUntil(() => watched.events.filter((event) => event === 'ready').length === 2, {
      label: 'the replica to take over',
    });
    expect(await portNow()).toBe(String(replica.port));
  });

  test('says which of them did not help, and why', async () => {
    const watched = connect('redis://mymaster/0', { sentinels: ['127.0.0.1:1'] });
    await untilEvent(watched, 'down again');
    expect(watched.connection.failure()).toMatch(
      /^no Sentinel names the server mymaster: 127\.0\.0\.1:1: .*ECONNREFUSED/,
    );
  });
});

test('is down if Redis accepts no writes', async () => {
  const watched = connect(redis.url);
  await untilEvent(watched, 'ready');
  await redis.command('CONFIG', 'SET', 'maxmemory', '1');
  await untilEvent(watched, 'down: OOM');
  await redis.command('CONFIG', 'SET', 'maxmemory', '0');
  await waitUntil(() => watched.connection.failure() === undefined, { label: 'no failure' });
});

test('is down for a user without the needed permissions', async () => {
  await redis.command('ACL', 'SETUSER', 'limited', 'on', '>pw', '~*', '+@all', '-eval');
  const watched = connect(redis.url.replace(`:${redis.password}@`, 'limited:pw@'));
  await untilEvent(watched, 'down: NOPERM');
});

describe('a Redis that hangs', () => {
  test('holds no command beyond its deadline, and none at all after it', async () => {
    const watched = connect(redis.url);
    await untilEvent(watched, 'ready');
    redis.kill('SIGSTOP');
    try {
      const late = Promise.allSettled(
        Array.from({ length: 100 }, () => watched.connection.run((client) => client.ping())),
      );
      const outcomes = await late;
      expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
      await expect(watched.connection.run((client) => client.ping())).rejects.toThrow('no answer');
    } finally {
      redis.kill('SIGCONT');
    }
    await waitUntil(() => watched.connection.failure() === undefined, { label: 'no failure' });
  });

  test('is noticed without a command', async () => {
    const watched = connect(redis.url);
    await untilEvent(watched, 'ready');
    redis.kill('SIGSTOP');
    try {
      await untilEvent(watched, 'down: no answer');
    } finally {
      redis.kill('SIGCONT');
    }
  });

  test('from the start is given up as well', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const watched = connect(`redis://127.0.0.1:${port}`);
    await untilEvent(watched, 'down again');
    expect(sockets.length).toBeGreaterThan(1);
  });
});

test('does not reconnect after it was stopped', async () => {
  const watched = connect(redis.url);
  await untilEvent(watched, 'ready');
  watched.connection.stop();
  const clients = await waitUntil(
    async () => {
      const list = String(await redis.command('CLIENT', 'LIST'));
      return list.trim().split('\n').length === 1 && list;
    },
    { label: 'its connection to end' },
  );
  expect(clients).toBeTruthy();
  expect(watched.events).toEqual(['ready']);
});
