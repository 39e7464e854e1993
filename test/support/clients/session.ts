import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { XmppServer } from '../servers/xmpp-server.ts';
import { authenticate, type Mechanism, mechanisms } from './sasl-client.ts';
import { find, findAll, type Stanza, text } from './stanza.ts';
import { createXmlStream, type XmlStream } from './xml-stream.ts';

/** Whose session to open, and how. */
export interface SessionOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly localpart: string;
  readonly domain: string;
  readonly password: string;
  /** Default: the server chooses one. */
  readonly resource?: string;
  /** STARTTLS with this CA (PEM text); default: no TLS. */
  readonly tls?: { readonly ca: string };
  /** Default: PLAIN if offered, else the best SCRAM. */
  readonly mechanism?: Mechanism;
  /** Priority of the initial presence; default 0. */
  readonly priority?: number;
}

/** A real client session that keeps what arrives. */
export interface Session {
  /** The full JID that the server bound. */
  readonly jid: string;
  /** Everything since the initial presence. */
  readonly received: readonly Stanza[];
  readonly send: (xml: string) => void;
  readonly waitFor: XmlStream['waitFor'];
  readonly waitForMessage: (id: string, timeoutMs?: number) => Promise<Stanza>;
  /** Sends `<iq …>…</iq>` with an id and resolves with the answer, result or error. */
  readonly query: (iq: string) => Promise<Stanza>;
  /** Resolves when everything that the server had for us is in `received`. */
  readonly settle: () => Promise<void>;
  /** Closes the stream and waits for the server to close it as well. */
  readonly close: () => Promise<void>;
  /** Cuts the connection. */
  readonly destroy: () => void;
}

const tlsNamespace = 'urn:ietf:params:xml:ns:xmpp-tls';

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

async function openStream(stream: XmlStream, domain: string): Promise<Stanza> {
  await stream.open(
    `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`,
  );
  return stream.waitFor(({ root }) => root.name === 'features', 'stream features');
}

async function startTls(stream: XmlStream, socket: Socket, domain: string, ca: string) {
  stream.send(`<starttls xmlns='${tlsNamespace}'/>`);
  await stream.waitFor(({ root }) => root.name === 'proceed', 'leave for STARTTLS');
  const secure = connectTls({ socket, servername: domain, ca });
  stream.replaceSocket(secure);
  await once(secure, 'secureConnect');
}

function chooseMechanism(features: Stanza): Mechanism {
  const element = find(features.root, 'mechanisms');
  const offered = element === undefined ? [] : findAll(element, 'mechanism').map(text);
  const chosen = mechanisms.find((mechanism) => offered.includes(mechanism));
  if (chosen === undefined) {
    throw new Error(`expected one of ${mechanisms.join(', ')}, the server offers ${features.xml}`);
  }
  return chosen;
}

function createQuery(stream: XmlStream): Session['query'] {
  let count = 0;
  return (iq) => {
    count += 1;
    const id = `query-${count}`;
    stream.send(iq.replace(/^<iq/, `<iq id='${id}'`));
    return stream.waitFor(
      ({ root }) => root.name === 'iq' && root.attributes['id'] === id,
      `the answer to ${iq}`,
    );
  };
}

async function bind(query: Session['query'], resource: string | undefined): Promise<string> {
  const wish = resource === undefined ? '' : `<resource>${resource}</resource>`;
  const { root, xml } = await query(
    `<iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${wish}</bind></iq>`,
  );
  const bound = find(root, 'bind');
  const jid = bound === undefined ? undefined : find(bound, 'jid');
  if (jid === undefined) throw new Error(`expected a bound JID, got ${xml}`);
  return text(jid);
}

async function logIn(stream: XmlStream, socket: Socket, options: SessionOptions): Promise<void> {
  const { domain, localpart, password, tls } = options;
  let features = await openStream(stream, domain);
  if (tls !== undefined) {
    await startTls(stream, socket, domain, tls.ca);
    features = await openStream(stream, domain);
  }
  const mechanism = options.mechanism ?? chooseMechanism(features);
  await authenticate(stream, mechanism, localpart, password);
  await openStream(stream, domain);
}

/** Logs in over c2s, binds, and resolves once the server has processed the initial presence. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { localpart, domain, priority = 0 } = options;
  const socket = await dial(options.port);
  const stream = createXmlStream(`session of ${localpart}@${domain}`, socket);
  try {
    await logIn(stream, socket, options);
    const query = createQuery(stream);
    const jid = await bind(query, options.resource);
    const settle = async (): Promise<void> => {
      await query(`<iq type='get' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    };
    stream.received.length = 0;
    stream.send(`<presence><priority>${priority}</priority></presence>`);
    // ejabberd may store messages offline while it still processes the first presence.
    await settle();
    return {
      jid,
      received: stream.received,
      send: stream.send,
      waitFor: stream.waitFor,
      waitForMessage: (id, timeoutMs) =>
        stream.waitFor(
          ({ root }) => root.name === 'message' && root.attributes['id'] === id,
          `message ${id}`,
          timeoutMs,
        ),
      query,
      settle,
      close: stream.close,
      destroy: stream.destroy,
    };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** `openSession` on a server of ours, without TLS unless `tls` is true. */
export function openSessionOn(
  server: XmppServer,
  localpart: string,
  password: string,
  options: Partial<Omit<SessionOptions, 'tls'>> & { readonly tls?: boolean } = {},
): Promise<Session> {
  const { tls = false, ...others } = options;
  return openSession({
    port: server.c2sPort,
    domain: server.domain,
    localpart,
    password,
    ...(tls ? { tls: { ca: readFileSync(server.caFile, 'utf8') } } : {}),
    ...others,
  });
}
