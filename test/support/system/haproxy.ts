import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.ts';
import { createDirectory, removeDirectory, runToSuccess, startChild } from './processes.ts';
import { waitUntil } from './wait.ts';

const exampleFile = fileURLToPath(new URL('../../../deploy/haproxy.cfg', import.meta.url));

/** HAProxy with deploy/haproxy.cfg, in front of gateways on loopback. */
export interface LoadBalancer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Takes a gateway out of service, or puts it back. */
  setState(index: number, state: 'drain' | 'ready'): Promise<void>;
  /** Which gateways are up, and how many requests each one got. */
  servers(): Promise<readonly { readonly isUp: boolean; readonly requests: number }[]>;
  stop(): Promise<void>;
}

/** The example configuration with our addresses. */
function buildConfig(port: number, socketFile: string, gatewayPorts: readonly number[]): string {
  const servers = gatewayPorts.map((one, index) => `    server s${index} 127.0.0.1:${one}\n`);
  const example = readFileSync(exampleFile, 'utf8');
  const [head = '', ...others] = example.split(/^ {4}server .*\n/m);
  return `${head}${servers.join('')}${others.join('')}`
    .replace(/bind .*/, `bind 127.0.0.1:${port}`)
    .replace(/stats socket \S+/, `stats socket ${socketFile}`);
}

/** Sends a command to the runtime API; resolves with the answer. */
async function command(socketFile: string, line: string): Promise<string> {
  const socket = connect(socketFile);
  socket.end(`${line}\n`);
  return readAll(socket);
}

/** Starts HAProxy and waits until all gateways are up. */
export async function startHaproxy(gatewayPorts: readonly number[]): Promise<LoadBalancer> {
  const directory = createDirectory('haproxy');
  const configFile = join(directory, 'haproxy.cfg');
  const port = await freePort();
  const socketFile = join(directory, 'admin.sock');
  writeFileSync(configFile, buildConfig(port, socketFile, gatewayPorts));
  await runToSuccess({ file: 'haproxy', args: ['-c', '-f', configFile] });
  const child = await startChild({ file: 'haproxy', args: ['-db', '-f', configFile] });
  const servers: LoadBalancer['servers'] = async () => {
    const said = await command(socketFile, 'show stat');
    const lines = said.split('\n').map((line) => line.split(','));
    const columns = lines[0] ?? [];
    return lines
      .filter(([, name]) => /^s\d+$/.test(name ?? ''))
      .map((cells) => ({
        isUp: cells[columns.indexOf('status')] === 'UP',
        requests: Number(cells[columns.indexOf('stot')]),
      }));
  };
  const setState: LoadBalancer['setState'] = async (index, state) => {
    const said = await command(socketFile, `set server gateways/s${index} state ${state}`);
    if (said.trim() !== '') throw new Error(`expected no objection of haproxy, got ${said}`);
  };
  const stop = async (): Promise<void> => {
    await child.end('SIGTERM');
    removeDirectory(directory);
  };
  await waitUntil(
    async () => {
      if (!child.isRunning()) throw new Error(`haproxy ended:\n${child.output()}`);
      const found = await servers().catch(() => []);
      return found.length === gatewayPorts.length && found.every(({ isUp }) => isUp);
    },
    { label: 'all gateways to be up' },
  );
  return { url: `http://127.0.0.1:${port}`, port, pid: child.pid, servers, setState, stop };
}
