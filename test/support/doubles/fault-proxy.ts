import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../system/ports.ts';
import { waitUntil } from '../system/wait.ts';

/**
 * `forward`: as if the proxy were not there. `refuse`: nothing listens, open connections stay open.
 * `half-open`: accepts connections and forwards nothing in either direction until the mode changes.
 * `swallow`: discards what clients send. `mute`: discards what the server sends.
 */
export type FaultMode = 'forward' | 'refuse' | 'half-open' | 'swallow' | 'mute';

/** A TCP proxy on loopback that breaks connections in the ways networks do. */
export interface FaultProxy {
  /** The port for clients; it never changes. */
  readonly port: number;
  readonly mode: FaultMode;
  /** Open connections of clients. */
  readonly connections: number;
  /** Connections accepted since the start. */
  readonly accepted: number;
  /** Delay of each byte in both directions; 0: none. */
  delayMs: number;
  /** Limit for each connection in each direction; 0: none. */
  bytesPerSecond: number;
  setMode(mode: FaultMode): Promise<void>;
  /** Changes the port that new connections go to. */
  setTarget(port: number): void;
  /** Cuts all open connections, both sides, with RST. */
  resetAll(): void;
  /** Once: forwards this number of bytes from clients, drops the rest and does `resetAll`. */
  cutAfter(bytes: number): void;
  stop(): Promise<void>;
}

interface Chunk {
  readonly bytes: Buffer;
  /** The earliest time to forward it, on the clock of `performance.now()`. */
  readonly dueAt: number;
}

// Reading stops while more than this waits in one direction.
const maxQueuedBytes = 1024 * 1024;

type Pause = (ms: number) => Promise<unknown>;

/** Calls `forward` for each chunk in order, each at its time, then `end`. */
function pump(
  from: Socket,
  delayMs: () => number,
  pause: Pause,
  forward: (bytes: Buffer) => Promise<void>,
  end: () => void,
): void {
  const queue: Chunk[] = [];
  let queuedBytes = 0;
  let running = false;
  let ended = false;

  const run = async (): Promise<void> => {
    if (running) return;
    running = true;
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      const waitMs = chunk.dueAt - performance.now();
      if (waitMs > 0) await pause(waitMs);
      await forward(chunk.bytes);
      queuedBytes -= chunk.bytes.length;
      if (from.isPaused() && queuedBytes < maxQueuedBytes) from.resume();
    }
    running = false;
    if (ended) end();
  };
  from.on('data', (bytes: Buffer) => {
    queue.push({ bytes, dueAt: performance.now() + delayMs() });
    queuedBytes += bytes.length;
    if (queuedBytes >= maxQueuedBytes) from.pause();
    void run();
  });
  from.on('end', () => {
    ended = true;
    void run();
  });
}

async function write(to: Socket, bytes: Buffer): Promise<void> {
  if (to.destroyed || to.write(bytes)) return;
  await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined);
}

/** Writes slice by slice, each at the current pace; 0: all at once. */
async function writeSlowly(
  to: Socket,
  bytes: Buffer,
  bytesPerSecond: () => number,
  pause: Pause,
): Promise<void> {
  let start = 0;
  while (start < bytes.length && !to.destroyed) {
    const pace = bytesPerSecond();
    const slice = bytes.subarray(start, pace > 0 ? start + Math.ceil(pace / 50) : bytes.length);
    await write(to, slice);
    if (pace > 0) await pause((slice.length * 1000) / pace);
    start += slice.length;
  }
}

/**
 * Starts a proxy in front of a loopback port. `onRead` gets all bytes that it reads from clients;
 * `pause` is how it waits for `delayMs` and `bytesPerSecond`.
 */
export async function startProxy(
  targetPort: number,
  onRead: (bytes: Buffer) => void = () => undefined,
  pause: Pause = delay,
): Promise<FaultProxy> {
  const port = await freePort();
  const clients = new Set<Socket>();
  const sockets = new Set<Socket>();
  const state = { mode: 'forward' as FaultMode, target: targetPort, accepted: 0 };
  const pace = { delayMs: 0, bytesPerSecond: 0 };
  const delayMs = (): number => pace.delayMs;
  let bytesUntilCut = Number.POSITIVE_INFINITY;

  const resetAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true).on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  };
  const untilMoving = async (socket: Socket): Promise<void> => {
    await waitUntil(() => state.mode !== 'half-open' || socket.destroyed, {
      label: 'the mode half-open to end',
      timeoutMs: 600_000,
    });
  };
  const forward = async (to: Socket, bytes: Buffer): Promise<void> => {
    if (state.mode === 'half-open') await untilMoving(to);
    await writeSlowly(to, bytes, () => pace.bytesPerSecond, pause);
  };
  const forwardUp = async (to: Socket, bytes: Buffer): Promise<void> => {
    if (state.mode === 'swallow') return;
    const part = bytes.subarray(0, bytesUntilCut);
    bytesUntilCut -= part.length;
    await forward(to, part);
    if (bytesUntilCut > 0) return;
    bytesUntilCut = Number.POSITIVE_INFINITY;
    // An RST would overtake what has not been sent yet.
    await waitUntil(() => to.writableLength === 0 || to.destroyed, { label: 'the part sent' });
    resetAll();
  };
  const serve = async (client: Socket): Promise<void> => {
    if (state.mode === 'half-open') await untilMoving(client);
    if (client.destroyed) return;
    const upstream = connect({ port: state.target, host: '127.0.0.1', allowHalfOpen: true });
    track(upstream);
    client.on('data', onRead);
    pump(
      client,
      delayMs,
      pause,
      (bytes) => forwardUp(upstream, bytes),
      () => upstream.end(),
    );
    pump(
      upstream,
      delayMs,
      pause,
      async (bytes) => {
        if (state.mode !== 'mute') await forward(client, bytes);
      },
      () => client.end(),
    );
    // An abrupt end on one side becomes an abrupt end on the other.
    upstream.once('close', (failed) => failed && client.resetAndDestroy());
    client.once('close', (failed) => (failed ? upstream.resetAndDestroy() : upstream.end()));
  };
  const onConnection = (client: Socket): void => {
    state.accepted += 1;
    clients.add(client);
    client.once('close', () => clients.delete(client));
    track(client);
    void serve(client);
  };
  let listener = await listen(port, onConnection);
  const close = (): void => {
    if (listener.listening) listener.close();
  };
  return {
    port,
    get mode() {
      return state.mode;
    },
    get connections() {
      return clients.size;
    },
    get accepted() {
      return state.accepted;
    },
    get delayMs() {
      return pace.delayMs;
    },
    set delayMs(value) {
      pace.delayMs = value;
    },
    get bytesPerSecond() {
      return pace.bytesPerSecond;
    },
    set bytesPerSecond(value) {
      pace.bytesPerSecond = value;
    },
    setMode: async (mode) => {
      state.mode = mode;
      if (mode === 'refuse') close();
      else if (!listener.listening) listener = await listen(port, onConnection);
    },
    setTarget: (target) => {
      state.target = target;
    },
    resetAll,
    cutAfter: (bytes) => {
      bytesUntilCut = bytes;
    },
    stop: async () => {
      close();
      resetAll();
      await waitUntil(() => sockets.size === 0, { label: 'the connections closed' });
    },
  };
}

async function listen(port: number, onConnection: (client: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, onConnection);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
