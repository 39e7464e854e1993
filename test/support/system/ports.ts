import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

// Below Linux's ephemeral range (32768…). While our server is down, the kernel may use a port of that
// range for an outgoing connection, and a client that keeps dialling it may connect to itself.
const lowest = 15_000;
const highest = 32_000;
/** The first port of each block is its guard. */
const blockSize = 50;
const blocks = Math.floor((highest - lowest) / blockSize);
const maxTries = 1000;

let next = 0;
let end = 0;
let reserving: Promise<void> | undefined;

async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen(port, '127.0.0.1');
    await listening;
    return server;
  } catch {
    return undefined;
  }
}

/**
 * Reserves a block of ports for this process by listening on its guard. Otherwise other test
 * processes could take the ports of a server while it restarts.
 */
async function reserveBlock(): Promise<void> {
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const first = lowest + blockSize * randomInt(blocks);
    const guard = await listenOn(first);
    if (guard === undefined) continue;
    guard.unref();
    [next, end] = [first + 1, first + blockSize];
    return;
  }
  throw new Error(`expected a free block of ports between ${lowest} and ${highest}, found none`);
}

/** A loopback port that nothing listens on and that no other test process uses. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < maxTries; attempt++) {
    if (next === end) {
      reserving ??= reserveBlock().finally(() => (reserving = undefined));
      await reserving;
      continue;
    }
    const port = next++;
    const server = await listenOn(port);
    if (server === undefined) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`expected a free port between ${lowest} and ${highest}, found none`);
}

/** `count` different free ports. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}
