import { BlockList, connect, isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { domainToASCII } from 'node:url';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import { authenticationUnavailable } from '../wire/gateway-errors.ts';
import {
  createExchange,
  findChild,
  type StreamElement,
  type StreamExchange,
  streamsNamespace,
} from './stream-reader.ts';

/** How a client stream is protected: STARTTLS, TLS from the first byte, or not at all (loopback only). */
export type StreamSecurity = 'starttls' | 'tls' | 'plaintext';

/** Where the XMPP server listens for clients. */
export interface ClientStreamOptions {
  readonly host: string;
  readonly port: number;
  readonly security: StreamSecurity;
  readonly secureContext: SecureContext;
}

/** An open client stream (RFC 6120 §4), encrypted unless `security` is plaintext. */
export interface ClientStream {
  readonly features: StreamElement;
  /** The TLS socket; undefined when the stream is not encrypted. */
  readonly tls: TLSSocket | undefined;
  readonly write: (xml: string) => void;
  /** The next first-level element; rejects when the stream ends or breaks. */
  readonly next: () => Promise<StreamElement>;
  /** Whether the server has ended or broken the stream. */
  readonly hasEnded: () => boolean;
  /** Closes the stream politely (RFC 6120 §4.4), but does not wait for the server's end of it. */
  readonly close: () => void;
}

const tlsNamespace = 'urn:ietf:params:xml:ns:xmpp-tls';

/**
 * Opens a stream to the domain and reads its features; with TLS, only those after the handshake. The
 * signal ends the stream at any time. Rejects with GatewayError `authentication-unavailable`.
 */
export async function openClientStream(
  options: ClientStreamOptions,
  domain: string,
  signal: AbortSignal,
): Promise<ClientStream> {
  const socket = await dial(options.host, options.port, signal);
  try {
    const tls = await secure(socket, options, domain);
    const exchange = createExchange(tls ?? socket, domain);
    const features = await openStream(exchange, domain);
    return {
      features,
      tls,
      write: exchange.write,
      next: exchange.next,
      hasEnded: exchange.hasEnded,
      close: () => close(tls ?? socket),
    };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function secure(
  socket: Socket,
  { security, secureContext }: ClientStreamOptions,
  domain: string,
): Promise<TLSSocket | undefined> {
  if (security === 'plaintext') {
    assertLoopback(socket);
    return undefined;
  }
  if (security === 'starttls') {
    await startTls(socket, domain);
    return encrypt(socket, domain, secureContext, []);
  }
  // XEP-0368 §3: ALPN names the protocol, because the port may be shared with others.
  return encrypt(socket, domain, secureContext, ['xmpp-client']);
}

/** Checks the address that was reached, because a host name says nothing about it. */
function assertLoopback(socket: Socket): void {
  if (!isLoopbackAddress(socket.remoteAddress ?? '')) {
    throw authenticationUnavailable(
      'The XMPP server is not on a loopback address, and c2s.security is plaintext: no login without TLS.',
    );
  }
}

/** RFC 6120 §5.4, up to the point where the TLS handshake has to begin. */
async function startTls(socket: Socket, domain: string): Promise<void> {
  const exchange = createExchange(socket, domain);
  const features = await openStream(exchange, domain);
  if (findChild(features, 'starttls', tlsNamespace) === undefined) {
    throw authenticationUnavailable(
      `The XMPP server of ${domain} does not offer STARTTLS: no login without TLS.`,
    );
  }
  exchange.write(`<starttls xmlns='${tlsNamespace}'/>`);
  const answer = await exchange.next();
  if (answer.name !== 'proceed' || answer.namespace !== tlsNamespace) {
    throw authenticationUnavailable(`The XMPP server of ${domain} refused STARTTLS.`);
  }
  // RFC 6120 §5.4.3.3: data from before the handshake must not count as protected by TLS.
  if (!exchange.release()) {
    throw authenticationUnavailable(
      `The XMPP server of ${domain} sent something between STARTTLS and the TLS handshake.`,
    );
  }
}

async function openStream(exchange: StreamExchange, domain: string): Promise<StreamElement> {
  exchange.write(
    `<?xml version='1.0'?><stream:stream to='${escapeAttribute(domain)}' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='${streamsNamespace}'>`,
  );
  const features = await exchange.next();
  if (features.name !== 'features' || features.namespace !== streamsNamespace) {
    throw authenticationUnavailable(
      `The XMPP server of ${domain} sent <${features.name.slice(0, 40)}/> in place of its features.`,
    );
  }
  return features;
}

function close(socket: Socket): void {
  socket.end('</stream:stream>');
  // One turn is enough for what fits into the kernel's buffer; a peer that does not read gets no more.
  setImmediate(() => socket.destroy());
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Connects without TLS; the signal destroys the socket at any time. */
async function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  // Node.js revives a socket that is destroyed before it connects, and forgets the signal.
  signal.throwIfAborted();
  const socket = connect({ host, port, noDelay: true, signal });
  await opened(socket, 'connect').catch((error: unknown) => {
    throw authenticationUnavailable('The XMPP server cannot be reached.', error);
  });
  return socket;
}

/** Whether the IP address is a loopback address, where nobody else can listen in. */
export function isLoopbackAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * Starts TLS on a connected socket. The certificate must be valid for the domain (RFC 7590 §3.4,
 * RFC 6125 §6), whatever host was dialled.
 */
async function encrypt(
  socket: Socket,
  domain: string,
  secureContext: SecureContext,
  protocols: string[],
): Promise<TLSSocket> {
  const name = domainToASCII(domain).replace(/^\[(.*)\]$/, '$1');
  const options: ConnectionOptions = {
    socket,
    secureContext,
    ALPNProtocols: protocols,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    // RFC 6066 §3: an IP address is not allowed as server name.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  };
  const secured = connectTls(options);
  await opened(secured, 'secureConnect').catch((error: unknown) => {
    throw authenticationUnavailable(describeTlsError(error, domain), error);
  });
  return secured;
}

function describeTlsError(error: unknown, domain: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'closed';
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID'
    ? `The certificate of the XMPP server is not valid for ${domain}.`
    : `TLS with the XMPP server of ${domain} failed (${code}).`;
}

/** Waits for the socket to open; rejects when it fails or closes instead. */
async function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    // This listener stays, because a late error without a listener would end the process.
    socket.on('error', reject);
    const onClose = (): void => reject(new Error('the connection was closed'));
    socket.once('close', onClose);
    socket.once(event, () => {
      socket.off('close', onClose);
      resolve();
    });
  });
}
