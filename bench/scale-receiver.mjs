// The recipient of bench/scale.mjs, a process of its own that counts the messages that arrive.
import { connect } from 'node:net';

const marker = Buffer.from('scale-');
const digits = 9;
const length = marker.length + digits;

/** Writes a step of the log-in and waits for the answer that matches. */
function talk(socket, text, pattern) {
  return new Promise((resolve, reject) => {
    let heard = '';
    const timer = setTimeout(() => reject(new Error(`expected ${pattern}, got ${heard}`)), 10_000);
    const listen = (chunk) => {
      heard += chunk.toString('latin1');
      if (!pattern.test(heard)) return;
      clearTimeout(timer);
      socket.off('data', listen);
      resolve();
    };
    socket.on('data', listen);
    socket.write(text);
  });
}

async function logIn({ port, domain, user, password }) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`;
  const plain = Buffer.from(`\0${user}\0${password}`).toString('base64');
  await talk(socket, header, /<\/stream:features>/);
  await talk(
    socket,
    `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`,
    /<success/,
  );
  await talk(socket, header, /<\/stream:features>/);
  const bind = `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`;
  await talk(socket, bind, /<\/iq>/);
  const ping = `<iq type='get' id='ping' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`;
  await talk(socket, `<presence/>${ping}`, /id=['"]ping['"]/);
  return socket;
}

let delivered = 0;
let duplicates = 0;
const seen = new Uint8Array(2 ** 24);

function createCounter() {
  let kept = Buffer.alloc(0);
  return (chunk) => {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    let from = 0;
    for (;;) {
      const at = bytes.indexOf(marker, from);
      if (at === -1 || at + length > bytes.length) break;
      const id = Number(bytes.latin1Slice(at + marker.length, at + length));
      if (seen[id] === 1) duplicates += 1;
      else delivered += 1;
      seen[id] = 1;
      from = at + length;
    }
    kept = bytes.subarray(Math.max(from, bytes.length - length + 1));
  };
}

async function start(session) {
  const socket = await logIn(session);
  socket.on('data', createCounter());
  socket.once('close', () => process.exit(1));
  process.on('message', () => process.send({ event: 'count', delivered, duplicates }));
  process.send({ event: 'ready' });
}

process.once('message', (session) => {
  start(session).catch((error) => process.send({ event: 'failed', reason: String(error) }));
});
process.once('disconnect', () => process.exit());
