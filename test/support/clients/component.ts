import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Stanza } from './stanza.ts';
import { createXmlStream, type XmlStream } from './xml-stream.ts';

/** A raw component connection (XEP-0114), without any of the gateway's code. */
export interface Component {
  readonly received: readonly Stanza[];
  /** Forgets what was received. */
  readonly clear: () => void;
  readonly send: (xml: string) => void;
  readonly waitFor: XmlStream['waitFor'];
  readonly close: () => Promise<void>;
  readonly destroy: () => void;
}

/** Connects and does the handshake (XEP-0114 §3); throws when the server refuses. */
export async function openComponent(options: {
  readonly port: number;
  readonly domain: string;
  readonly secret: string;
}): Promise<Component> {
  const { port, domain, secret } = options;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const stream = createXmlStream(`component ${domain}`, socket);
  try {
    const { id } = await stream.open(
      `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
    );
    const digest = createHash('sha1').update(`${id}${secret}`).digest('hex');
    stream.send(`<handshake>${digest}</handshake>`);
    const answer = await stream.waitFor(() => true, 'an answer to the handshake');
    if (answer.root.name !== 'handshake') throw new Error(`the server answered ${answer.xml}`);
    stream.received.length = 0;
    const { received, send, waitFor, close, destroy } = stream;
    const clear = (): void => void (received.length = 0);
    return { received, clear, send, waitFor, close, destroy };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}
