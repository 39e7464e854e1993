import { createServer, type Socket } from 'node:net';
import { createStreamParser, find, type Stanza } from '../clients/stanza.ts';

/** A connected component as the scripted server sees it. */
export interface ComponentPeer {
  send(xml: string): void;
  /** Resets the connection, as a crashed server would. */
  reset(): void;
}

/** The server's side of XEP-0114, which follows a script that no real server can be made to follow. */
export interface ComponentServer {
  readonly port: number;
  /** Accepted handshakes so far. */
  readonly handshakes: number;
  stop(): Promise<void>;
}

/** The purpose of a stanza, as the gateway's server sees it. */
export type StanzaKind = 'probe' | 'ping' | 'barrier' | 'message' | 'feature' | 'other';

/** The answers of an honest server: probes loop back, pings and barriers have results. */
export function answerHonestly({ xml, root }: Stanza, kind: StanzaKind, peer: ComponentPeer): void {
  const { id, from, to } = root.attributes;
  if (kind === 'probe') peer.send(xml);
  if (kind === 'ping' || kind === 'barrier') {
    const payload =
      find(root, 'gateway') === undefined
        ? ''
        : "<gateway xmlns='urn:xmpp-message-gateway:0' version='1'/>";
    peer.send(`<iq type='result' id='${id}' from='${to}' to='${from}'>${payload}</iq>`);
  }
}

function kindOf({ root }: Stanza): StanzaKind {
  const id = root.attributes['id'] ?? '';
  if (id.startsWith('bounce-') || id.startsWith('module-')) return 'feature';
  if (root.name === 'message') return id.startsWith('probe-') ? 'probe' : 'message';
  if (id.startsWith('barrier-')) return 'barrier';
  return find(root, 'ping') === undefined ? 'other' : 'ping';
}

/** Starts a server that accepts any secret, announces, and hands each stanza to the script. */
export async function startComponentServer(
  script: (stanza: Stanza, kind: StanzaKind, peer: ComponentPeer) => void,
  announcements = '',
): Promise<ComponentServer> {
  const sockets = new Set<Socket>();
  let handshakes = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setEncoding('utf8').setNoDelay(true);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    const peer: ComponentPeer = {
      send: (xml) => void socket.write(xml),
      reset: () => void socket.resetAndDestroy(),
    };
    const parse = createStreamParser({
      onHeader: () =>
        peer.send(
          "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='gateway.example.org'>",
        ),
      onStanza: (stanza) => {
        if (stanza.root.name === 'handshake') {
          handshakes += 1;
          peer.send(`<handshake/>${announcements}`);
        } else {
          script(stanza, kindOf(stanza), peer);
        }
      },
      onEnd: () => socket.end('</stream:stream>'),
    });
    socket.on('data', (chunk) => parse(String(chunk)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get handshakes() {
      return handshakes;
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
