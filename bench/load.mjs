// The load generator, in a separate process: raw sockets, keep-alive, requests prepared in advance.
import { connect } from 'node:net';
import { fillIn, findIds, summarize } from './samples.mjs';

/**
 * Posts on one connection, one request after the other, as long as `next()` gives an id; resolves
 * with false when the other side has closed it.
 */
function post({ port, template, onAnswer }, next) {
  const request = Buffer.from(template, 'latin1');
  const places = findIds(request);
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let sentAt = 0;
    let answer = '';
    const send = () => {
      const id = next();
      if (id === undefined) {
        resolve(true);
        socket.destroy();
        return;
      }
      for (const at of places) fillIn(request, at, id);
      sentAt = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.once('connect', send);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      answer += chunk;
      if (!isComplete(answer)) return;
      const status = answer.slice(9, 12);
      answer = '';
      const pauseMs = onAnswer(status, performance.now() - sentAt);
      if (pauseMs > 0) setTimeout(send, pauseMs);
      else send();
    });
    socket.once('close', () => resolve(false));
  });
}

function isComplete(answer) {
  const end = answer.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const [, length] = /\r\ncontent-length: *(\d+)/i.exec(answer) ?? [];
  return answer.length >= end + 4 + Number(length ?? 0);
}

/** Lines per write, and how many may be unanswered: with more, the end would take long. */
const linesPerPiece = 64;
const maxUnanswered = 1024;

/**
 * Posts lines in one request, as fast as they are answered and as long as `next()` gives an id; resolves
 * with whether the answer was complete.
 */
function postLines({ port, template, line, onAnswer }, next) {
  const prepared = Buffer.from(line, 'latin1');
  const [at] = findIds(prepared);
  const size = Buffer.from(`${(linesPerPiece * prepared.length).toString(16)}\r\n`);
  const end = Buffer.from('\r\n');
  const buildPiece = () => {
    const piece = [size];
    for (let count = 0; count < linesPerPiece; count += 1) {
      const id = next();
      if (id === undefined) return undefined;
      const filled = Buffer.from(prepared);
      fillIn(filled, at, id);
      piece.push(filled);
    }
    return Buffer.concat([...piece, end]);
  };
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let rest = '';
    let unanswered = 0;
    let hasEnded = false;
    const send = () => {
      while (!hasEnded && unanswered < maxUnanswered) {
        const piece = buildPiece();
        hasEnded = piece === undefined;
        socket.write(piece ?? '0\r\n\r\n');
        unanswered += linesPerPiece;
      }
    };
    socket.setEncoding('latin1');
    socket.once('connect', () => {
      socket.write(template, 'latin1');
      send();
    });
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const found = (rest + chunk).split('\n');
      rest = found.pop() ?? '';
      for (const text of found) {
        const [, status] = /^\{"line":\d+,"status":(\d+)/.exec(text) ?? [];
        if (status !== undefined) {
          onAnswer(status);
          unanswered -= 1;
        }
        if (text.startsWith('{"lines":')) {
          resolve(true);
          socket.destroy();
        }
      }
      send();
    });
    socket.once('close', () => resolve(false));
  });
}

/**
 * Posts on many connections, one message in each request or, with a `line`, all in one. After a warm-up
 * that does not count, it runs for some time or until a number of them were answered, and tells the
 * parent when the clock starts and stops.
 */
async function run({
  port,
  template,
  line,
  connections,
  warmUpMs,
  ms,
  count,
  pauseMs = 0,
  firstId,
}) {
  const statuses = {};
  let latencies = [];
  let id = firstId;
  let isOver = false;
  let isCounting = false;
  let startedAt = 0;
  let cpu = process.cpuUsage();
  const stop = () => {
    if (!isCounting) return;
    isCounting = false;
    isOver = true;
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const answers = latencies.length;
    process.send({ event: 'ended', seconds, answers, cpuMs: (user + system) / 1000 });
  };
  const onAnswer = (status, latency) => {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (isCounting) {
      latencies.push(latency);
      if (latencies.length === count) stop();
    }
    return pauseMs;
  };
  const next = () => {
    if (isOver) return undefined;
    id += 1;
    return id;
  };
  setTimeout(() => {
    latencies = [];
    isCounting = true;
    startedAt = performance.now();
    cpu = process.cpuUsage();
    process.send({ event: 'started' });
    if (ms !== undefined) setTimeout(stop, ms);
  }, warmUpMs);
  const send = line === undefined ? post : postLines;
  const client = async () => {
    while (!(await send({ port, template, line, onAnswer }, next))) {
      statuses.cut = (statuses.cut ?? 0) + 1;
      if (isOver || statuses.cut > connections) return;
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  process.send({ event: 'done', statuses, lastId: id, ...summarize(latencies) });
}

process.on('message', (order) => {
  run(order).catch((error) => process.send({ event: 'failed', reason: String(error) }));
});
process.once('disconnect', () => process.exit());
