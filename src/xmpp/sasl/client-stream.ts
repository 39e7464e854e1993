import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import { escapeAttribute } from '../../core/xml/serialize.ts';
import { authenticationUnavailable } from '../wire/authentication-unavailable.ts';
import { dial, encrypt, isLoopback } from './client-socket.ts';
import { createExchange, type StreamExchange } from './stream-exchange.ts';
import { findChild, type StreamElement, streamsNamespace } from './stream-reader.ts';

/** How a client stream is protected: STARTTLS, TLS from the first byte, or not at all (loopback only). */
export type StreamSecurity = 'starttls' | 'tls' | 'plaintext';

/** Where the XMPP server awaits clients. */
export interface ClientStreamOptions {
  readonly host: string;
  readonly port: number;
  readonly security: StreamSecurity;
  readonly secureContext: SecureContext;
}

/** A client's stream (RFC 6120 §4) that is open and, unless plaintext, encrypted. */
export interface ClientStream {
  readonly features: StreamElement;
  /** The socket under TLS; undefined when the stream is not encrypted. */
  readonly tls: TLSSocket | undefined;
  readonly send: (xml: string) => void;
  /** The next first-level element; rejects when the stream ends or breaks. */
  readonly next: () => Promise<StreamElement>;
  /** Whether the server has ended the stream, or broken it. */
  readonly hasEnded: () => boolean;
  /** Closes the stream politely (RFC 6120 §4.4) and the socket at once. */
  readonly close: () => void;
}

const tlsNamespace = 'urn:ietf:params:xml:ns:xmpp-tls';

/**
 * Opens a stream to the domain and reads the features that count, those under TLS. The signal ends
 * it at any time; rejects with GatewayError `authentication-unavailable`.
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
      send: exchange.send,
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
  // XEP-0368 §3: ALPN says which protocol comes on a port that others may share.
  return encrypt(socket, domain, secureContext, ['xmpp-client']);
}

/** Looks at the address that was reached, whatever the name of the host said. */
function assertLoopback(socket: Socket): void {
  if (!isLoopback(socket.remoteAddress ?? '')) {
    throw authenticationUnavailable(
      'The XMPP server is not on a loopback address, and c2s.security is plaintext: no login without TLS.',
    );
  }
}

/** RFC 6120 §5.4; ends where the TLS handshake has to begin. */
async function startTls(socket: Socket, domain: string): Promise<void> {
  const exchange = createExchange(socket, domain);
  const features = await openStream(exchange, domain);
  if (findChild(features, 'starttls', tlsNamespace) === undefined) {
    throw authenticationUnavailable(
      `The XMPP server of ${domain} does not offer STARTTLS: no login without TLS.`,
    );
  }
  exchange.send(`<starttls xmlns='${tlsNamespace}'/>`);
  const answer = await exchange.next();
  if (answer.name !== 'proceed' || answer.namespace !== tlsNamespace) {
    throw authenticationUnavailable(`The XMPP server of ${domain} refused STARTTLS.`);
  }
  // RFC 6120 §5.4.3.3: what came in the clear must not be taken for what comes under TLS.
  if (!exchange.release()) {
    throw authenticationUnavailable(
      `The XMPP server of ${domain} sent something between STARTTLS and the TLS handshake.`,
    );
  }
}

async function openStream(exchange: StreamExchange, domain: string): Promise<StreamElement> {
  exchange.send(
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
  // One turn is enough for bytes that the kernel takes; a peer that reads nothing gets no more.
  setImmediate(() => socket.destroy());
}
