import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { freePort } from '../support/system/ports.ts';

/** A server that does not speak XMPP, or breaks it. */
export interface GarbageServer {
  readonly port: number;
  stop(): Promise<void>;
}

const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='example.org' version='1.0'>";
const features =
  "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>";
const sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** What it sends first, and after the first bytes from the client; then it is silent or hangs up. */
const scripts: readonly { readonly first: string | Buffer; readonly reply?: string }[] = [
  { first: 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n' },
  { first: randomBytes(3000) },
  { first: '<'.repeat(5000) },
  { first: '\0\uFFFF<not-authorized/>' },
  { first: `${header}<failure ${sasl}><not-authorized/></failure>` },
  { first: `${header}<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>` },
  { first: `${header}${features}`, reply: `<failure ${sasl}><temporary-auth-failure/></failure>` },
  { first: `${header}${features}`, reply: `<failure ${sasl}/>` },
  { first: `${header}${features}`, reply: `<challenge ${sasl}>%%%</challenge>` },
  {
    first: `${header}${features}`,
    reply: `<challenge ${sasl}>${base64('r=x,s=,i=0')}</challenge>`,
  },
  { first: `${header}${features}`, reply: `<success ${sasl}>${base64('v=')}</success>` },
  { first: `${header}${features}`, reply: `<success ${sasl}/>` },
  { first: `${header}${features}`, reply: '</stream:stream>' },
  { first: `${header}<stream:features/>` },
];

/** Starts it. Each connection gets the next kind of garbage, and every other one is then closed. */
export async function startGarbageServer(): Promise<GarbageServer> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer((socket) => {
    const script = scripts[accepted % scripts.length];
    const hangsUp = Math.floor(accepted / scripts.length) % 2 === 1;
    accepted += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => undefined);
    let isFirst = true;
    socket.on('data', () => {
      const said = isFirst ? script?.first : script?.reply;
      const isLast = !isFirst || script?.reply === undefined;
      isFirst = false;
      if (said !== undefined) socket.write(said);
      if (isLast && hangsUp) socket.end();
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
