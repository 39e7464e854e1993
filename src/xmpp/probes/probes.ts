import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { StreamSecurity } from '../sasl/client-stream.ts';
import { streamsNamespace } from '../sasl/stream-reader.ts';
import { readIdentity, type ServerIdentity, type ServerKind } from '../server/identity.ts';
import { type ComponentAddress, openComponentConnection } from '../stream/connection.ts';
import type { Served } from '../stream/trust-proof.ts';
import { openTrustedStream } from '../stream/trusted-stream.ts';
import { buildBarrier, readBarrierAnswer } from '../wire/barrier.ts';
import { type StreamFailure, unreachable } from '../wire/stream-failure.ts';

/** Where an XMPP server may listen. */
export interface ServerPlaces {
  readonly component: { readonly host: string; readonly port: number };
  readonly c2s: {
    readonly host: string;
    readonly port: number;
    readonly security: StreamSecurity;
  };
}

/** How long a server may take to identify itself, in milliseconds; usually it takes a few. */
const identityTimeoutMs = 10_000;

/** How many characters of a greeting are read; servers send about 500. */
const maxGreetingLength = 4096;

/**
 * Recognises the server by its greetings on the ports for components and for clients, without
 * credentials; undefined when neither is open, or the server is of another kind. It never rejects.
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

/** Verifies no certificate, because nothing secret is sent and nothing received is trusted. */
function openClientSocket({ host, port, security }: ServerPlaces['c2s']): Socket {
  return security === 'tls'
    ? connectTls({ host, port, rejectUnauthorized: false, ALPNProtocols: ['xmpp-client'] })
    : connect({ host, port });
}

/** Opens a stream to a domain that no server hosts (RFC 6761 §6.4), so that it has no effect. */
function readGreeting(socket: Socket, namespace: string): Promise<ServerKind | undefined> {
  return new Promise((resolve) => {
    let greeting = '';
    const end = (): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(recogniseGreeting(greeting));
    };
    // One turn later, because what came while this process was suspended has not been read yet.
    const deadline = setTimeout(() => setImmediate(end), identityTimeoutMs);
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
 * Before a login, neither server states its name. But the stream ids of ejabberd are long decimal
 * numbers (those of other servers have letters in them), and Prosody has its own words for a domain that
 * it does not know.
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
 * Asks the domains for their software version (XEP-0092) over a component stream, which it closes
 * again; undefined when the server does not answer. It never rejects.
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
        const questions = domains.map((domain) => buildVersionQuery(id, address.domain, domain));
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
      identityTimeoutMs,
    );
  });
}

/**
 * The question, and a barrier after it: ejabberd with mod_privilege (24.10 and newer) drops the
 * question, but answers the barrier. The arguments must need no escaping.
 */
function buildVersionQuery(id: string, component: string, domain: string): string {
  return `<iq type='get' id='${id}' from='${component}' to='${domain}'><query xmlns='jabber:iq:version'/></iq>${buildBarrier('ping', id, component, domain)}`;
}

/** In milliseconds; far more than a server needs for one stanza. */
const sizeTimeoutMs = 10_000;

/**
 * Opens a stream and sends a stanza of `bytes` from a random name of the first served domain to the
 * component itself. Resolves with `taken` when it has looped back, else with how the stream ended.
 */
export function probeSize(
  address: ComponentAddress,
  served: Served,
  bytes: number,
): Promise<StreamFailure | 'taken'> {
  const id = `size-${randomBytes(12).toString('hex')}`;
  const xml = buildSizeProbe(id, served.domains[0] ?? '', address.domain, bytes);
  return new Promise((resolve) => {
    let isTaken = false;
    let deadline: NodeJS.Timeout | undefined;
    const connection = openTrustedStream(address, served, {
      onReady: (stream) => {
        deadline = setTimeout(() => {
          connection.destroy(unreachable(`no answer within ${sizeTimeoutMs} ms`));
        }, sizeTimeoutMs);
        stream.write(xml);
      },
      onStanza: (stanza) => {
        if (stanza.attrs['id'] !== id) return;
        isTaken = true;
        void connection.close();
      },
      onDrain: () => {},
      onClose: (failure) => {
        clearTimeout(deadline);
        resolve(isTaken ? 'taken' : failure);
      },
    });
  });
}

function buildSizeProbe(id: string, domain: string, component: string, bytes: number): string {
  const from = `gwprobe-${randomBytes(8).toString('hex')}@${domain}`;
  const head = `<message id='${id}' from='${from}' to='${component}'><x xmlns='urn:xmpp-message-gateway:probe'>`;
  const tail = '</x></message>';
  const padding = bytes - Buffer.byteLength(head) - Buffer.byteLength(tail);
  return head + 'x'.repeat(Math.max(0, padding)) + tail;
}
