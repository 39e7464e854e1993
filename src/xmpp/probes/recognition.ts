import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { StreamSecurity } from '../sasl/client-stream.ts';
import { streamsNamespace } from '../sasl/stream-reader.ts';
import { readIdentity, type ServerIdentity, type ServerKind } from '../server/identity.ts';
import { type ComponentAddress, openComponentConnection } from '../stream/connection.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { unreachable } from '../wire/stream-failure.ts';

/** Where an XMPP server may be found. */
export interface ServerPlaces {
  readonly component: { readonly host: string; readonly port: number };
  readonly c2s: {
    readonly host: string;
    readonly port: number;
    readonly security: StreamSecurity;
  };
}

/** How long a server may take to identify itself, in milliseconds; it takes a few. */
const timeoutMs = 10_000;

/** Most characters of a greeting: servers send about 500. */
const maxGreetingLength = 4096;

/**
 * Recognises the server by its greeting, without credentials, on the ports for components and for
 * clients; undefined when neither is open, or another server answers. It never rejects.
 */
export async function recogniseServer({
  component,
  c2s,
}: ServerPlaces): Promise<ServerKind | undefined> {
  const kinds = await Promise.all([
    readGreeting(connect(component), 'jabber:component:accept'),
    readGreeting(openClientSocket(c2s), 'jabber:client'),
  ]);
  return kinds[0] ?? kinds[1];
}

/** No certificate is verified: nothing secret is sent, and nothing that comes is trusted. */
function openClientSocket({ host, port, security }: ServerPlaces['c2s']): Socket {
  return security === 'tls'
    ? connectTls({ host, port, rejectUnauthorized: false, ALPNProtocols: ['xmpp-client'] })
    : connect({ host, port });
}

/** Opens a stream to a domain that no server hosts (RFC 6761 §6.4), so that nothing comes of it. */
function readGreeting(socket: Socket, namespace: string): Promise<ServerKind | undefined> {
  return new Promise((resolve) => {
    let greeting = '';
    const end = (): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(recogniseGreeting(greeting));
    };
    // One turn more: what came while this process did not run has not been read yet.
    const deadline = setTimeout(() => setImmediate(end), timeoutMs);
    socket.setEncoding('utf8').on('error', end).on('close', end);
    socket.on('data', (text) => {
      greeting += text;
      const isEnough = recogniseGreeting(greeting) !== undefined;
      if (isEnough || greeting.length > maxGreetingLength) end();
    });
    socket.write(
      `<?xml version='1.0'?><stream:stream to='recognition.invalid' version='1.0' xmlns='${namespace}' xmlns:stream='${streamsNamespace}'>`,
    );
  });
}

/**
 * ejabberd counts on decimal stream ids (other servers have letters in them), Prosody says in its
 * own words that it does not know the domain. Before a login neither states its name.
 */
export function recogniseGreeting(greeting: string): ServerKind | undefined {
  if (/<stream:stream\s[^>]*\bid=(['"])\d{10,}\1/.test(greeting)) return 'ejabberd';
  return /This server does not serve |does not match any configured external components/.test(
    greeting,
  )
    ? 'prosody'
    : undefined;
}

/**
 * Asks the domains for their software version (XEP-0092), over a component stream that is closed
 * again; undefined when the server does not tell. It never rejects.
 */
export function askVersion(
  address: ComponentAddress,
  domains: readonly string[],
): Promise<ServerIdentity | undefined> {
  const id = `version-${randomBytes(12).toString('hex')}`;
  const unanswered = new Set(domains);
  let identity: ServerIdentity | undefined;
  return new Promise((resolve) => {
    const connection = openComponentConnection(address, {
      onOnline: () => {
        const questions = domains.map((domain) => buildQuestion(id, address.domain, domain));
        connection.write(questions.join(''));
      },
      onStanza: (stanza) => {
        if (stanza.attrs['id'] !== id) return;
        const from = String(stanza.attrs['from']);
        if (domains.includes(from)) identity ??= readIdentity(stanza);
        for (const domain of unanswered) {
          const answer = readBarrierAnswer('ping', stanza, address.domain, domain);
          if (answer !== undefined) unanswered.delete(domain);
        }
        if (identity !== undefined || unanswered.size === 0) void connection.close();
      },
      answerRequest: () => undefined,
      onDrain: () => {},
      onClose: () => {
        clearTimeout(deadline);
        resolve(identity);
      },
    });
    const deadline = setTimeout(
      () => connection.destroy(unreachable('the server did not state its version')),
      timeoutMs,
    );
  });
}

/**
 * The question, and a barrier behind it: ejabberd with mod_privilege (24.10 and newer) drops the
 * question, but answers the barrier. The arguments need no escaping.
 */
function buildQuestion(id: string, component: string, domain: string): string {
  return `<iq type='get' id='${id}' from='${component}' to='${domain}'><query xmlns='jabber:iq:version'/></iq>${buildBarrier('ping', id, component, domain)}`;
}
