import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Certificates } from '../system/certificates.ts';
import { type C2sAccounts, createSasl, sasl } from './c2s-sasl.ts';

/** Where a server misbehaves: after this message of the client. */
export type Step = 'header' | 'starttls' | 'secure-header' | 'auth' | 'response' | 'empty-response';

/** The policy of a scripted server. */
export interface C2sServerOptions extends C2sAccounts {
  /** Offered under TLS, and without certificates also in the clear. */
  readonly mechanisms: readonly string[];
  /** With them the server offers STARTTLS. */
  readonly certificates?: Pick<Certificates, 'certFile' | 'keyFile'>;
  /** TLS from the first byte. */
  readonly directTls?: boolean;
  /** Ends the stream after this number of refusals. */
  readonly maxRefusals?: number;
  /** The newest version of TLS; default that of Node.js. */
  readonly maxTlsVersion?: 'TLSv1.2';
  /** Leaves its side of the connection open when the client closes. */
  readonly keepsOpen?: boolean;
  /** Replaces the honest answer at a step; undefined cuts the connection. */
  readonly tamper?: (step: Step, honest: string) => string | undefined;
}

/** The server's side of a client stream up to the end of SASL, with policies no real server has. */
export interface C2sServer {
  readonly port: number;
  /** Accepted connections so far. */
  readonly accepted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** What clients sent in the clear. */
  readonly clearText: string;
  /** All that clients sent, decrypted. */
  readonly text: string;
  /** Server names (SNI) and protocols (ALPN) that clients asked for under TLS. */
  readonly tlsRequests: readonly { readonly servername: unknown; readonly protocol: unknown }[];
  stop(): Promise<void>;
}

const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='example.org' version='1.0'>";

function features(options: C2sServerOptions, isSecure: boolean): string {
  const hidden = options.certificates !== undefined && !isSecure;
  const starttls = hidden ? "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" : '';
  const mechanisms = options.mechanisms.map((name) => `<mechanism>${name}</mechanism>`).join('');
  const list = hidden ? '' : `<mechanisms xmlns='${sasl}'>${mechanisms}</mechanisms>`;
  const types = options.bindings?.map((type) => `<channel-binding type='${type}'/>`).join('');
  const bindings =
    hidden || types === undefined
      ? ''
      : `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>${types}</sasl-channel-binding>`;
  return `${header}<stream:features>${starttls}${list}${bindings}</stream:features>`;
}

/** One message of a client: a stream header, its end, or an element of SASL or STARTTLS. */
const unit =
  /^(?:<\?xml[^>]*>)?(<stream:stream[^>]*>|<\/stream:stream>|<starttls[^>]*\/>|<(auth|response)[^>]*>[^<]*<\/\2>)/;

/** Starts it on loopback. */
export async function startC2sServer(options: C2sServerOptions): Promise<C2sServer> {
  const sockets = new Set<Socket>();
  const tlsRequests: { servername: unknown; protocol: unknown }[] = [];
  const seen = { accepted: 0, clearText: '', text: '' };
  const secureContext =
    options.certificates &&
    createSecureContext({
      cert: readFileSync(options.certificates.certFile),
      key: readFileSync(options.certificates.keyFile),
      ...(options.maxTlsVersion === undefined ? {} : { maxVersion: options.maxTlsVersion }),
    });

  const serve = (socket: Socket | TLSSocket): void => {
    const isSecure = socket instanceof TLSSocket;
    const answer = createSasl(options, isSecure ? socket : undefined);
    let buffer = '';
    let refusals = 0;
    const write = (step: Step, honest: string): boolean => {
      const text = options.tamper === undefined ? honest : options.tamper(step, honest);
      if (text === undefined) socket.destroy();
      else socket.write(text);
      return text === honest;
    };
    const onUnit = (xml: string): void => {
      if (xml.startsWith('<stream:stream')) {
        write(isSecure ? 'secure-header' : 'header', features(options, isSecure));
      } else if (xml.startsWith('</')) {
        if (options.keepsOpen !== true) socket.end('</stream:stream>');
      } else if (xml.startsWith('<starttls')) {
        if (write('starttls', "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")) encrypt();
      } else {
        const response = xml.includes('></') ? 'empty-response' : 'response';
        const said = answer(xml);
        write(xml.startsWith('<auth') ? 'auth' : response, said);
        refusals += said.startsWith('<failure') ? 1 : 0;
        if (refusals === options.maxRefusals) socket.end('</stream:stream>');
      }
    };
    const onData = (chunk: Buffer): void => {
      seen.text += chunk.toString();
      if (!isSecure) seen.clearText += chunk.toString();
      buffer += chunk.toString();
      for (let match = unit.exec(buffer); match !== null; match = unit.exec(buffer)) {
        buffer = buffer.slice(match[0].length);
        onUnit(match[1]!);
      }
    };
    const encrypt = (): void => {
      socket.off('data', onData);
      serveTls(socket);
    };
    socket.on('data', onData);
  };

  const serveTls = (socket: Socket): void => {
    const secured = new TLSSocket(socket, {
      isServer: true,
      ...(secureContext === undefined ? {} : { secureContext }),
      ALPNProtocols: ['xmpp-client'],
    });
    secured.on('error', () => socket.destroy());
    secured.on('secure', () => {
      const servername = 'servername' in secured ? secured.servername : undefined;
      tlsRequests.push({ servername, protocol: secured.alpnProtocol });
    });
    serve(secured);
  };

  const server = createServer({ allowHalfOpen: options.keepsOpen === true }, (socket) => {
    sockets.add(socket);
    seen.accepted += 1;
    socket.setNoDelay(true);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    if (options.directTls === true) serveTls(socket);
    else serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();

  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get accepted() {
      return seen.accepted;
    },
    get open() {
      return sockets.size;
    },
    get clearText() {
      return seen.clearText;
    },
    get text() {
      return seen.text;
    },
    tlsRequests,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
