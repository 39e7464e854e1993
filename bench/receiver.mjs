// The recipient's session, in a separate process that counts the ids that arrive. It is also the
// ceiling: a component in the same process writes the next message whenever one has arrived.
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { fillIn, idDigits, summarize } from './samples.mjs';

const marker = Buffer.from('bench-');
const idLength = marker.length + idDigits;

/** Writes a step, waits for the answer that matches; the steps of a log-in need no parser. */
function talk(socket, text, pattern) {
  return new Promise((resolve, reject) => {
    let heard = '';
    const timer = setTimeout(() => reject(new Error(`expected ${pattern}, got ${heard}`)), 10_000);
    const listen = (chunk) => {
      heard += chunk.toString('latin1');
      if (!pattern.test(heard)) return;
      clearTimeout(timer);
      socket.off('data', listen);
      resolve(heard);
    };
    socket.on('data', listen);
    socket.write(text);
  });
}

async function dial(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

async function logIn({ port, domain, user, password }) {
  const socket = await dial(port);
  const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`;
  const plain = Buffer.from(`\0${user}\0${password}`).toString('base64');
  await talk(socket, header, /<\/stream:features>/);
  const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`;
  await talk(socket, auth, /<success/);
  await talk(socket, header, /<\/stream:features>/);
  const bind = `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`;
  await talk(socket, bind, /<\/iq>/);
  // The answer to a later question shows that the presence has been processed.
  const ping = `<iq type='get' id='ping' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`;
  await talk(socket, `<presence/>${ping}`, /id=['"]ping['"]/);
  return socket;
}

async function openComponent({ port, domain, secret }) {
  const socket = await dial(port);
  const header = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`;
  const opened = await talk(socket, header, /<stream:stream[^>]*>/);
  const [, id] = /\bid=['"]([^'"]*)['"]/.exec(opened);
  const digest = createHash('sha1').update(`${id}${secret}`).digest('hex');
  await talk(socket, `<handshake>${digest}</handshake>`, /<handshake/);
  return socket.resume();
}

let delivered = 0;
let duplicates = 0;
let lastAt = 0;
/** One byte for each number: cheaper than a set. */
const seen = new Uint8Array(2 ** 24);
let onArrival;

/** Finds the ids in what arrives; only the bytes that may hold the beginning of one are kept. */
function createCounter() {
  let kept = Buffer.alloc(0);
  return (chunk) => {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    let arrived = 0;
    let from = 0;
    for (;;) {
      const at = bytes.indexOf(marker, from);
      if (at === -1 || at + idLength > bytes.length) break;
      const id = Number(bytes.latin1Slice(at + marker.length, at + idLength));
      if (seen[id] === 1) duplicates += 1;
      else {
        seen[id] = 1;
        arrived += 1;
        onArrival?.(id);
      }
      from = at + idLength;
    }
    delivered += arrived;
    if (arrived > 0) lastAt = performance.timeOrigin + performance.now();
    kept = bytes.subarray(Math.max(from, bytes.length - idLength + 1));
    return arrived;
  };
}

function createBlast(component, afterChunk) {
  return async ({ window, warmUpMs, ms, template, firstId }) => {
    const latencies = [];
    const sentAt = new Map();
    let id = firstId;
    let isOver = false;
    let isCounting = false;
    const stanza = Buffer.from(template, 'latin1');
    const at = stanza.indexOf(marker);
    const send = (count) => {
      if (isOver) return;
      const now = performance.now();
      const batch = Buffer.alloc(stanza.length * count);
      for (let index = 0; index < count; index += 1) {
        id += 1;
        stanza.copy(batch, index * stanza.length);
        fillIn(batch, index * stanza.length + at, id);
        sentAt.set(id, now);
      }
      component.write(batch);
    };
    onArrival = (arrived) => {
      const writtenAt = sentAt.get(arrived);
      sentAt.delete(arrived);
      if (isCounting && writtenAt !== undefined) latencies.push(performance.now() - writtenAt);
    };
    afterChunk(send);
    send(window);
    await wait(warmUpMs);
    isCounting = true;
    const startedAt = performance.now();
    const cpu = process.cpuUsage();
    process.send({ event: 'started' });
    await wait(ms);
    isOver = true;
    const { user, system } = process.cpuUsage(cpu);
    const seconds = (performance.now() - startedAt) / 1000;
    const answers = latencies.length;
    process.send({ event: 'ended', seconds, answers, cpuMs: (user + system) / 1000 });
    // What is lost never arrives.
    for (let looks = 0; sentAt.size > 0 && looks < 500; looks += 1) await wait(10);
    onArrival = undefined;
    afterChunk(undefined);
    const statuses = { 200: id - firstId };
    process.send({ event: 'done', statuses, lastId: id, ...summarize(latencies) });
  };
}

function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function start({ session, component }) {
  const socket = await logIn(session);
  const count = createCounter();
  let respond;
  socket.on('data', (chunk) => {
    const arrived = count(chunk);
    if (arrived > 0) respond?.(arrived);
  });
  socket.once('close', () => process.exit(1));
  const blast =
    component &&
    createBlast(await openComponent(component), (next) => {
      respond = next;
    });
  process.on('message', (order) => {
    if (order.order === 'blast') void blast(order);
    else {
      process.send({
        event: 'count',
        delivered,
        duplicates,
        lastAt,
        at: performance.timeOrigin + performance.now(),
      });
    }
  });
  process.send({ event: 'ready' });
}

process.once('message', (order) => {
  start(order).catch((error) => process.send({ event: 'failed', reason: String(error) }));
});
process.once('disconnect', () => process.exit());
