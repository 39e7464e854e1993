import net from 'node:net';
import tls from 'node:tls';
import { type Attack, attacks } from './attacks.ts';

/** Pause before a closed connection is replaced: we want a crowd, not a flood of handshakes. */
const pauseMs = 100;

/** The argument of the attacking process, as JSON. */
export interface AttackerData {
  readonly name: string;
  readonly port: number;
  readonly ms: number;
}

/** Number of answers by status, and of connections closed by the gateway. */
export type Sightings = Readonly<Record<string, number>>;

const { name, port, ms } = JSON.parse(process.argv[2] ?? '') as AttackerData;
const attack = attacks.find((one) => one.name === name) as Attack;
const bytes = attack.bytes();
const seen: Record<string, number> = {};
const sockets = new Set<net.Socket>();
let isOver = false;

function note(what: string): void {
  seen[what] = (seen[what] ?? 0) + 1;
}

function begin(): void {
  if (isOver) return;
  const to = { host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true };
  const socket = attack.tls ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect(to);
  let answers = 0;
  const write = (): void => {
    if (attack.closesHalf) socket.end(bytes);
    else socket.write(bytes);
  };
  sockets.add(socket);
  socket.once(attack.tls ? 'secureConnect' : 'connect', write);
  socket.on('error', () => {});
  socket.on('end', () => socket.end());
  socket.once('close', () => {
    sockets.delete(socket);
    if (isOver) return;
    note('closed');
    setTimeout(begin, pauseMs);
  });
  if (attack.reads === 'none') {
    socket.pause();
    return;
  }
  if (attack.reads === 'slowly') {
    socket.on('readable', () => {});
    const timer = setInterval(() => socket.read(Math.min(1024, socket.readableLength)), 1000);
    socket.once('close', () => clearInterval(timer));
    return;
  }
  socket.on('data', (chunk: Buffer) => {
    for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      note(status);
      answers += 1;
    }
    if (attack.answers === 0 || answers < attack.answers) return;
    answers = 0;
    write();
  });
}

for (let count = 0; count < attack.connections; count += 1) setTimeout(begin, count / 2);
setTimeout(() => {
  isOver = true;
  for (const socket of sockets) socket.destroy();
  process.send?.(seen);
  process.disconnect();
}, ms);
