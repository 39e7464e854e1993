// The load generator of bench/scale.mjs, a process of its own: raw sockets, keep-alive.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const digits = 9;

/** Posts on one connection, one request after the other, while `next()` gives a request. */
function postAll(port, next, onAnswer) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let sentAt = 0;
    let heard = '';
    let isOver = false;
    const send = () => {
      const request = next();
      if (request === undefined) {
        isOver = true;
        socket.end();
        resolve();
        return;
      }
      sentAt = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.once('connect', send);
    socket.once('error', reject);
    socket.once('close', () => {
      if (!isOver) reject(new Error(`closed after ${heard}`));
    });
    socket.on('data', (chunk) => {
      heard += chunk;
      const end = heard.indexOf('\r\n\r\n');
      const [, length] = /\r\ncontent-length: *(\d+)/i.exec(heard) ?? [];
      if (end === -1 || heard.length < end + 4 + Number(length ?? 0)) return;
      const status = heard.slice(9, 12);
      heard = '';
      onAnswer(status, performance.now() - sentAt);
      send();
    });
  });
}

/** `template` has `#` where the number goes; the head's Content-Length counts all digits. */
async function run({ port, template, connections, warmUpMs, ms, firstId }) {
  const statuses = {};
  const parts = template.split('#');
  let latencies = [];
  let id = firstId;
  let isOver = false;
  const next = () => {
    if (isOver) return undefined;
    id += 1;
    return parts.join(String(id).padStart(digits, '0'));
  };
  const onAnswer = (status, latency) => {
    statuses[status] = (statuses[status] ?? 0) + 1;
    latencies.push(latency);
  };
  const clients = Array.from({ length: connections }, () => postAll(port, next, onAnswer));
  const all = Promise.all(clients);
  all.catch(() => undefined);
  await sleep(warmUpMs);
  latencies = [];
  process.send({ event: 'started' });
  await sleep(ms);
  const counted = latencies.toSorted((a, b) => a - b);
  process.send({ event: 'ended' });
  isOver = true;
  await all;
  const at = (share) => counted[Math.floor(counted.length * share)];
  process.send({ event: 'done', statuses, lastId: id, p50: at(0.5), p99: at(0.99) });
}

process.on('message', (order) => {
  run(order).catch((error) => process.send({ event: 'failed', reason: String(error) }));
});
process.once('disconnect', () => process.exit());
