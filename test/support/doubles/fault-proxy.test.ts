import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../system/ports.ts';
import { waitUntil } from '../system/wait.ts';
import { type FaultProxy, startProxy } from './fault-proxy.ts';

/** A client of the proxy, or the server's side of it: what came and how it ended. */
interface Peer {
  readonly socket: Socket;
  readonly text: () => string;
  /** `end`, or the code of the error. */
  readonly ending: () => string | undefined;
}

function watch(socket: Socket): Peer {
  let text = '';
  let ending: string | undefined;
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ending = error.code;
  });
  socket.on('end', () => {
    ending ??= 'end';
  });
  return { socket, text: () => text, ending: () => ending };
}

let server: Server;
let serverPort: number;
let proxy: FaultProxy;
let peers: Peer[];

beforeEach(async () => {
  peers = [];
  server = createServer((socket) => void peers.push(watch(socket)));
  serverPort = await freePort();
  server.listen(serverPort, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startProxy(serverPort);
});

afterEach(async () => {
  await proxy.stop();
  server.close();
});

async function dial(): Promise<Peer> {
  const peer = watch(connect(proxy.port, '127.0.0.1'));
  await once(peer.socket, 'connect');
  return peer;
}

async function accepted(): Promise<Peer> {
  return waitUntil(() => peers.at(-1), { label: 'a connection at the server' });
}

function arrival(peer: Peer, text: string): Promise<boolean> {
  return waitUntil(() => peer.text() === text, { label: `${text.length} bytes` });
}

test('forward: bytes pass both ways, and so do polite ends', async () => {
  const client = await dial();
  client.socket.write('to the server');
  const peer = await accepted();
  await arrival(peer, 'to the server');
  peer.socket.write('to the client');
  await arrival(client, 'to the client');
  client.socket.end();
  await waitUntil(() => peer.ending() === 'end', { label: 'the end at the server' });
  await waitUntil(() => client.ending() === 'end', { label: 'the end at the client' });
  expect(proxy.accepted).toBe(1);
});

test('refuse: open connections stay open and new ones are refused until the mode changes', async () => {
  const client = await dial();
  await proxy.setMode('refuse');
  await expect(dial()).rejects.toThrow('ECONNREFUSED');
  client.socket.write('still here');
  await arrival(await accepted(), 'still here');
  await proxy.setMode('forward');
  await dial();
  await waitUntil(() => peers.length === 2, { label: 'a second connection' });
});

test('half-open: no byte passes until the mode changes', async () => {
  const before = await dial();
  const peer = await accepted();
  await proxy.setMode('half-open');
  const after = await dial();
  await waitUntil(() => proxy.accepted === 2, { label: 'the connection accepted' });
  before.socket.write('one');
  after.socket.write('two');
  // Three connections past the proxy are served meanwhile, so these would have been served as well.
  for (const turn of [2, 3, 4]) {
    connect(serverPort, '127.0.0.1').end();
    await waitUntil(() => peers.length >= turn, { label: 'a direct connection' });
    await waitUntil(() => peers.at(-1)?.ending(), { label: 'its end' });
  }
  expect([peer.text(), peers.length]).toEqual(['', 4]);
  await proxy.setMode('forward');
  await arrival(peer, 'one');
  await waitUntil(() => peers.length === 5, { label: 'the second connection' });
  await arrival(await accepted(), 'two');
});

test('swallow: what a client sends is lost, what the server sends arrives', async () => {
  const client = await dial();
  const peer = await accepted();
  await proxy.setMode('swallow');
  client.socket.write('lost');
  peer.socket.write('hello');
  await arrival(client, 'hello');
  await proxy.setMode('forward');
  client.socket.write('kept');
  await waitUntil(peer.text, { label: 'bytes at the server' });
  expect(peer.text()).toBe('kept');
});

test('mute: what a client sends arrives, what the server sends is lost', async () => {
  const client = await dial();
  const peer = await accepted();
  await proxy.setMode('mute');
  peer.socket.write('lost');
  client.socket.write('hello');
  await arrival(peer, 'hello');
  await proxy.setMode('forward');
  peer.socket.write('kept');
  await waitUntil(client.text, { label: 'bytes at the client' });
  expect(client.text()).toBe('kept');
});

test('onRead: gets what clients send, even if it is discarded', async () => {
  let read = '';
  const watched = await startProxy(serverPort, (bytes) => {
    read += bytes.toString();
  });
  const client = watch(connect(watched.port, '127.0.0.1'));
  client.socket.write('one ');
  await arrival(await accepted(), 'one ');
  await watched.setMode('swallow');
  client.socket.write('two');
  await waitUntil(() => read === 'one two', { label: 'both' });
  await watched.stop();
});

test('cutAfter: exactly this number of bytes arrives, then both sides see a reset, once', async () => {
  const client = await dial();
  proxy.cutAfter(7);
  client.socket.write('<message/>');
  const peer = await accepted();
  await waitUntil(() => client.ending() === 'ECONNRESET', { label: 'the reset at the client' });
  await waitUntil(() => peer.ending() === 'ECONNRESET', { label: 'the reset at the server' });
  expect(peer.text()).toBe('<messag');
  const next = await dial();
  next.socket.write('<message/>');
  await waitUntil(() => peers.length === 2, { label: 'a second connection' });
  await arrival(await accepted(), '<message/>');
});

test('resetAll: both sides see a reset', async () => {
  const client = await dial();
  const peer = await accepted();
  proxy.resetAll();
  await waitUntil(client.ending, { label: 'the reset at the client' });
  await waitUntil(peer.ending, { label: 'the reset at the server' });
  expect([client.ending(), peer.ending()]).toEqual(['ECONNRESET', 'ECONNRESET']);
  expect(proxy.connections).toBe(0);
});

test('a reset by the server reaches the client', async () => {
  const client = await dial();
  (await accepted()).socket.resetAndDestroy();
  await waitUntil(client.ending, { label: 'the reset at the client' });
  expect(client.ending()).toBe('ECONNRESET');
});

describe('with pauses that the test ends', () => {
  let pauses: number[];
  let endPauses: () => void;

  beforeEach(async () => {
    pauses = [];
    const ended = new Promise<void>((resolve) => {
      endPauses = resolve;
    });
    await proxy.stop();
    proxy = await startProxy(serverPort, undefined, (ms) => {
      pauses.push(ms);
      return ended;
    });
  });

  test('delayMs: bytes arrive after the pause, complete and in order', async () => {
    proxy.delayMs = 600_000;
    const client = await dial();
    const peer = await accepted();
    const sent = Array.from({ length: 20 }, (_, index) => `chunk ${index};`);
    for (const chunk of sent) {
      client.socket.write(chunk);
      await new Promise(setImmediate);
    }
    await waitUntil(() => pauses.length === 1, { label: 'the pause of the first chunk' });
    expect(peer.text()).toBe('');
    endPauses();
    await arrival(peer, sent.join(''));
  });

  test('bytesPerSecond: 500 bytes at 1 kB/s take pauses of half a second in all', async () => {
    proxy.bytesPerSecond = 1000;
    endPauses();
    const client = await dial();
    client.socket.write('x'.repeat(500));
    await arrival(await accepted(), 'x'.repeat(500));
    // The last pause begins after the last byte was written.
    await waitUntil(() => pauses.reduce((sum, ms) => sum + ms, 0) === 500, { label: 'all pauses' });
  });
});
