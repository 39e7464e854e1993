import { BlockList, connect, isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { domainToASCII } from 'node:url';
import { authenticationUnavailable } from '../wire/authentication-unavailable.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Connects without TLS; the signal destroys the socket at any time. */
export async function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  // Node.js revives a socket that was destroyed before it connects, and the signal is forgotten.
  signal.throwIfAborted();
  const socket = connect({ host, port, noDelay: true, signal });
  await opened(socket, 'connect').catch((error: unknown) => {
    throw authenticationUnavailable('The XMPP server cannot be reached.', error);
  });
  return socket;
}

/** Whether the IP address is one of this machine alone; what goes there, nobody can listen to. */
export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * Puts TLS on a connected socket and verifies that the certificate is the domain's (RFC 7590 §3.4,
 * RFC 6125 §6), whatever host was dialled.
 */
export async function encrypt(
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
    // RFC 6066 §3: an address is no server name.
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
    ? `The certificate of the XMPP server is not one for ${domain}.`
    : `TLS with the XMPP server of ${domain} failed (${code}).`;
}

/** Waits for the socket to open; an error or the close of it rejects. */
async function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    // This listener stays: a socket's late error, heard by nobody, would end the process.
    socket.on('error', reject);
    const onClose = (): void => reject(new Error('the connection was closed'));
    socket.once('close', onClose);
    socket.once(event, () => {
      socket.off('close', onClose);
      resolve();
    });
  });
}
