import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import type { Certificates } from './certificates.ts';
import { freePort } from './ports.ts';
import { type Child, createDirectory, removeDirectory, startChild } from './processes.ts';
import { waitUntil } from './wait.ts';

/** A real Redis on loopback, for one test file only; it keeps its data over `halt`. */
export interface RedisServer {
  /** Includes the password. */
  readonly url: string;
  readonly password: string;
  /** The same with TLS; the name of the host is a parameter. */
  readonly tlsUrl: (host?: string) => string;
  readonly port: number;
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Stops the process and keeps port and data. */
  halt(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the process again; resolves when it accepts commands. */
  resume(): Promise<void>;
  /** Runs one command on a new connection. */
  command(...words: string[]): Promise<unknown>;
  /** Every command that changed the data, as Redis stored them on disk. */
  history(): string;
  stop(): Promise<void>;
}

const password = 'redis-secret';

function tlsLines(port: number, { certFile, keyFile, caFile }: Certificates): string[] {
  return [
    `tls-port ${port}`,
    `tls-cert-file ${certFile}`,
    `tls-key-file ${keyFile}`,
    `tls-ca-cert-file ${caFile}`,
  ];
}

function writeConfig(
  file: string,
  directory: string,
  port: number,
  fsync: string,
  others: readonly string[],
): void {
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `requirepass ${password}`,
    'save ""',
    'appendonly yes',
    `appendfsync ${fsync}`,
    'aof-use-rdb-preamble no',
    ...others,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
}

/**
 * Starts a private Redis; by default every command is on disk before its answer. With certificates it
 * has a second port for TLS, which asks for a certificate of the same CA.
 */
export async function startRedis({
  fsync = 'always',
  certificates,
  replicaOf,
}: {
  readonly fsync?: string;
  readonly certificates?: Certificates;
  readonly replicaOf?: Pick<RedisServer, 'port'>;
} = {}): Promise<RedisServer> {
  const directory = createDirectory('redis');
  const configFile = join(directory, 'redis.conf');
  const port = await freePort();
  const url = `redis://:${password}@127.0.0.1:${port}/0`;
  const tlsPort = certificates && (await freePort());
  const others = [
    `masterauth ${password}`,
    ...(replicaOf ? [`replicaof 127.0.0.1 ${replicaOf.port}`] : []),
    ...(certificates && tlsPort ? tlsLines(tlsPort, certificates) : []),
  ];
  writeConfig(configFile, directory, port, fsync, others);
  let child = await launch(configFile);
  return {
    url,
    password,
    port,
    tlsUrl: (host = '127.0.0.1') => `rediss://:${password}@${host}:${tlsPort}/0`,
    get pid() {
      return child.pid;
    },
    kill: (signal) => child.kill(signal),
    halt: async (signal) => {
      await child.end(signal);
    },
    resume: async () => {
      child = await launch(configFile);
    },
    command: async (...words) => {
      const client = createClient({ url, socket: { reconnectStrategy: false } });
      client.on('error', () => undefined);
      await client.connect();
      try {
        return await client.sendCommand(words);
      } finally {
        client.destroy();
      }
    },
    history: () => readFiles(join(directory, 'appendonlydir')),
    stop: async () => {
      await child.end();
      removeDirectory(directory);
    },
  };
}

/** Starts a Redis Sentinel that watches a primary as `mymaster`; resolves once it knows a replica. */
export async function startSentinel(
  primary: RedisServer,
): Promise<{ readonly address: string; stop(): Promise<void> }> {
  const directory = createDirectory('sentinel');
  const configFile = join(directory, 'sentinel.conf');
  const port = await freePort();
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `sentinel monitor mymaster 127.0.0.1 ${primary.port} 1`,
    `sentinel auth-pass mymaster ${password}`,
    'sentinel down-after-milliseconds mymaster 300',
    'sentinel failover-timeout mymaster 1000',
  ];
  writeFileSync(configFile, `${lines.join('\n')}\n`, { mode: 0o600 });
  const child = await launch(configFile, ['--sentinel'], '+slave slave');
  return {
    address: `127.0.0.1:${port}`,
    stop: async () => {
      await child.end();
      removeDirectory(directory);
    },
  };
}

async function launch(
  configFile: string,
  args: readonly string[] = [],
  ready = 'Ready to accept connections',
): Promise<Child> {
  const child = await startChild({ file: 'redis-server', args: [configFile, ...args] });
  await waitUntil(
    () => {
      if (!child.isRunning()) throw new Error(`redis-server ended:\n${child.output()}`);
      return child.output().includes(ready);
    },
    { label: 'redis-server to be ready' },
  );
  return child;
}

function readFiles(directory: string): string {
  return readdirSync(directory)
    .map((name) => readFileSync(join(directory, name), 'utf8'))
    .join('\n');
}
