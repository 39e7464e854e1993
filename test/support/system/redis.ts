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
}: {
  readonly fsync?: string;
  readonly certificates?: Certificates;
} = {}): Promise<RedisServer> {
  const directory = createDirectory('redis');
  const configFile = join(directory, 'redis.conf');
  const port = await freePort();
  const url = `redis://:${password}@127.0.0.1:${port}/0`;
  const tlsPort = certificates && (await freePort());
  const others = certificates && tlsPort ? tlsLines(tlsPort, certificates) : [];
  writeConfig(configFile, directory, port, fsync, others);
  let child = await launch(configFile);
  return {
    url,
    password,
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

async function launch(configFile: string): Promise<Child> {
  const child = await startChild({ file: 'redis-server', args: [configFile] });
  await waitUntil(
    () => {
      if (!child.isRunning()) throw new Error(`redis-server ended:\n${child.output()}`);
      return child.output().includes('Ready to accept connections');
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
