import { type Component, component, type ParserConstructor } from '@xmpp/component';
import type { Element } from 'ltx';
import { buildServiceUnavailable } from '../wire/iq.ts';
import { readStreamFailure, type StreamFailure, unreachable } from '../wire/stream-failure.ts';

/** Where the XMPP server awaits the component, and who the component is. */
export interface ComponentAddress {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  readonly secret: { reveal(): string };
}

/** What a connection tells its owner. `onClose` is called exactly once, and last. */
export interface ConnectionEvents {
  readonly onOnline: () => void;
  readonly onStanza: (stanza: Element) => void;
  /** The answer to a request; undefined when the stanza is none, or is to be refused. */
  readonly answerRequest: (stanza: Element) => string | undefined;
  readonly onDrain: () => void;
  readonly onClose: (failure: StreamFailure) => void;
}

/** One component stream, from its connect to its close; it never reconnects. */
export interface ComponentConnection {
  /** Writes whole stanzas at once; call it only between `onOnline` and `onClose`. */
  write(xml: string): void;
  /** Whether written bytes still wait for the socket: `onDrain` follows. */
  isBlocked(): boolean;
  /** Closes the stream politely (RFC 6120 §4.4), if it is open, then the socket. Nothing is written after it. */
  close(): Promise<void>;
  /** Cuts the socket; `failure` is what `onClose` will be told. */
  destroy(failure: StreamFailure): void;
}

/** Deadline of each step: TCP connect, stream header, handshake. */
const stepTimeoutMs = 5000;

const closed = unreachable('the gateway closed the stream');

/** Deadline of each step of closing: the server's end of the stream, and of the connection. */
const closeTimeoutMs = 1000;

/**
 * Connects and authenticates as a component (XEP-0114 §3). Nothing is written by anybody else on
 * this stream: the library's own reconnect, its way to another host that the server names, and its
 * answers to iq, which echo what a stranger sent, are taken off.
 */
export function openComponentConnection(
  address: ComponentAddress,
  events: ConnectionEvents,
): ComponentConnection {
  const entity = component({
    service: '',
    domain: address.domain,
    // The library digests one byte for each character; XEP-0114 §3 means the bytes of UTF-8.
    password: Buffer.from(address.secret.reveal(), 'utf8').toString('latin1'),
  });
  entity.timeout = stepTimeoutMs;
  entity.Parser = makeSturdy(entity.Parser);
  entity.reconnect.stop();
  Object.assign(entity, { _onSeeOtherHost: (error: Error) => entity.emit('error', error) });
  entity.removeAllListeners('element');
  entity.socketParameters = () => ({ host: address.host, port: address.port });

  let failure: StreamFailure | undefined;
  let isClosed = false;
  let isOnline = false;
  let step = 'TCP connect';

  const fail = (reason: StreamFailure): void => {
    failure ??= reason;
    entity.timeout = closeTimeoutMs;
    if (entity.socket === null) {
      close();
    } else {
      entity.socket.destroy();
    }
  };
  const close = (): void => {
    if (isClosed) {
      return;
    }
    isClosed = true;
    clearTimeout(deadline);
    events.onClose(failure ?? unreachable('the XMPP server closed the connection'));
  };
  const deadline = setTimeout(() => {
    fail(unreachable(`no answer within ${stepTimeoutMs} ms to the ${step}`));
  }, stepTimeoutMs);
  const enter = (next: string): void => {
    step = next;
    deadline.refresh();
  };

  entity.on('connect', () => {
    // Characters split across chunks arrive whole only when the socket decodes them.
    entity.socket?.setEncoding('utf8');
    // Else a barrier waits some 40 ms, for the delayed ACK of what was written before it. As an
    // option of connect() it would do nothing: Node reads it only where it makes the socket.
    entity.socket?.setNoDelay(true);
    entity.socket?.on('drain', events.onDrain);
    enter('stream header');
  });
  entity.on('open', () => enter('handshake'));
  entity.on('online', () => {
    clearTimeout(deadline);
    isOnline = true;
    events.onOnline();
  });
  entity.on('stanza', (stanza: Element) => {
    const answer = events.answerRequest(stanza) ?? buildServiceUnavailable(stanza);
    if (answer === undefined) {
      events.onStanza(stanza);
    } else if (!isBlocked()) {
      write(answer);
    }
  });
  entity.on('error', (error: unknown) => fail(readStreamFailure(error)));
  // The socket may stay open, but nothing can be sent any more (RFC 6120 §4.4).
  entity.on('close', () => fail(unreachable('the XMPP server closed the stream')));
  entity.on('disconnect', close);

  const write = (xml: string): void => {
    if (!isOnline) {
      return;
    }
    // A lost connection is told by `onClose`, which also decides what became of the bytes.
    entity.write(xml).catch(() => {});
  };

  // Of a socket that is being destroyed, nothing says so.
  const isBlocked = (): boolean =>
    failure !== undefined || (entity.socket?.writableNeedDrain ?? true);

  connect(entity, address.domain).catch((error: unknown) => fail(readStreamFailure(error)));

  return {
    write,
    isBlocked,
    close: async () => {
      // Before the handshake's answer, `</stream:stream>` would come amidst what opens the stream.
      if (isOnline) {
        isOnline = false;
        failure ??= closed;
        entity.timeout = closeTimeoutMs;
        await entity.stop().catch(() => {});
      }
      fail(closed);
    },
    destroy: fail,
  };
}

async function connect(entity: Component, domain: string): Promise<void> {
  await entity.connect('');
  await entity.open({ domain });
}

/**
 * The library's parser, mended. Where `?` and `>` of the XML declaration come in two pieces, it
 * misses the end of the declaration and reads nothing more; so a `?` at the end waits for what
 * follows, and nothing that is complete ends with one. What it throws becomes its `error`. Behind
 * the end of the stream, or an error, nothing is read any more: nobody listens there.
 */
export function makeSturdy(Parser: ParserConstructor): ParserConstructor {
  return class extends Parser {
    #held = '';
    #isOver = false;

    constructor() {
      super();
      const end = (): void => {
        this.#isOver = true;
      };
      this.on('end', end);
      this.on('error', end);
    }

    override write(piece: string): void {
      if (this.#isOver) return;
      const text = this.#held + piece;
      this.#held = text.endsWith('?') ? '?' : '';
      try {
        super.write(text.slice(0, text.length - this.#held.length));
      } catch (error) {
        this.emit('error', error);
      }
    }
  };
}
