import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Certificates } from './certificates.ts';

/** Where a server that misbehaves does so: what the client did just before. */
export type Step = 'header' | 'starttls' | 'secure-header' | 'auth' | 'response' | 'empty-response';

/** The policy of a scripted server. */
export interface C2sServerOptions {
  /** Offered under TLS; in the clear too where there are no certificates. */
  readonly mechanisms: readonly string[];
  /** With them the server offers STARTTLS. */
  readonly certificates?: Pick<Certificates, 'certFile' | 'keyFile'>;
  /** TLS from the first byte. */
  readonly directTls?: boolean;
  /** Localpart → password, as SASLprep leaves it. */
  readonly users?: Readonly<Record<string, string>>;
  readonly iterations?: number;
  /** Puts SCRAM's last message into a challenge (RFC 6120 §6.4.5). */
  readonly finalInChallenge?: boolean;
  /** Leaves its side of the connection open when the client closes. */
  readonly keepsOpen?: boolean;
  /** Changes what an honest server would write at that step; undefined cuts the connection. */
  readonly tamper?: (step: Step, honest: string) => string | undefined;
}

/** A server's side of a client stream up to SASL's end, with policies that real servers don't offer. */
export interface C2sServer {
  readonly port: number;
  /** Accepted connections so far. */
  readonly accepted: number;
  /** Connections now. */
  readonly open: number;
  /** What clients sent in the clear. */
  readonly clearText: string;
  /** All that clients sent, decrypted. */
  readonly text: string;
  /** Server names (SNI) and protocols (ALPN) that clients asked for under TLS. */
  readonly tlsRequests: readonly { readonly servername: unknown; readonly protocol: unknown }[];
  stop(): Promise<void>;
}

const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl';
const notAuthorized = `<failure xmlns='${sasl}'><not-authorized/></failure>`;
const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='example.org' version='1.0'>";

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function decode(xml: string): string {
  return Buffer.from(/>([^<]*)</.exec(xml)?.[1] ?? '', 'base64').toString();
}

/** The server's side of one SASL exchange: the client's element → the server's. */
function createSasl(options: C2sServerOptions): (xml: string) => string {
  const users = new Map(Object.entries(options.users ?? {}));
  let respond: ((message: string) => string) | undefined;

  const plain = (message: string): string => {
    const [, username = '', password] = message.split('\0');
    return users.get(username) === password ? `<success xmlns='${sasl}'/>` : notAuthorized;
  };
  const scram = (hash: 'sha1' | 'sha256', clientFirst: string): string => {
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    const [, name = '', nonce = ''] = /^n,,n=([^,]*),r=(.*)$/.exec(clientFirst) ?? [];
    const password = users.get(name.replaceAll('=2C', ',').replaceAll('=3D', '='));
    const salt = randomBytes(16);
    const iterations = options.iterations ?? 4096;
    const serverFirst = `r=${nonce}${randomBytes(9).toString('base64')},s=${salt.toString('base64')},i=${iterations}`;
    respond = (clientFinal) => {
      const [, withoutProof = '', proof = ''] = /^(.*),p=(.*)$/.exec(clientFinal) ?? [];
      if (password === undefined) return notAuthorized;
      const salted = pbkdf2Sync(password, salt, iterations, hash === 'sha1' ? 20 : 32, hash);
      const clientKey = hmac(salted, 'Client Key');
      const authMessage = `${clientFirst.slice(3)},${serverFirst},${withoutProof}`;
      const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage);
      const expected = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));
      if (proof !== expected.toString('base64')) return notAuthorized;
      const verifier = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
      if (options.finalInChallenge !== true) {
        return `<success xmlns='${sasl}'>${encode(`v=${verifier}`)}</success>`;
      }
      respond = () => `<success xmlns='${sasl}'/>`;
      return `<challenge xmlns='${sasl}'>${encode(`v=${verifier}`)}</challenge>`;
    };
    return `<challenge xmlns='${sasl}'>${encode(serverFirst)}</challenge>`;
  };

  return (xml) => {
    if (xml.startsWith('<response')) return respond?.(decode(xml)) ?? notAuthorized;
    switch (/mechanism='([^']*)'/.exec(xml)?.[1] ?? '') {
      case 'PLAIN':
        return plain(decode(xml));
      case 'SCRAM-SHA-1':
        return scram('sha1', decode(xml));
      case 'SCRAM-SHA-256':
        return scram('sha256', decode(xml));
      case 'ANONYMOUS':
        return `<success xmlns='${sasl}'/>`;
      default:
        return `<failure xmlns='${sasl}'><invalid-mechanism/></failure>`;
    }
  };
}

function features(options: C2sServerOptions, isSecure: boolean): string {
  const hidden = options.certificates !== undefined && !isSecure;
  const starttls = hidden ? "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" : '';
  const mechanisms = options.mechanisms.map((name) => `<mechanism>${name}</mechanism>`).join('');
  const list = hidden ? '' : `<mechanisms xmlns='${sasl}'>${mechanisms}</mechanisms>`;
  return `${header}<stream:features>${starttls}${list}</stream:features>`;
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
    });

  const serve = (socket: Socket, isSecure: boolean): void => {
    const answer = createSasl(options);
    let buffer = '';
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
      } else if (xml.startsWith('<auth')) {
        write('auth', answer(xml));
      } else {
        write(xml.includes('></') ? 'empty-response' : 'response', answer(xml));
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
    serve(secured, true);
  };

  const server = createServer({ allowHalfOpen: options.keepsOpen === true }, (socket) => {
    sockets.add(socket);
    seen.accepted += 1;
    socket.setNoDelay(true);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    if (options.directTls === true) serveTls(socket);
    else serve(socket, false);
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
