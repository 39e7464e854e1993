import { type Component, component, type ParserConstructor } from '@xmpp/component';
import type { Element } from 'ltx';
import { buildServiceUnavailable } from '../wire/iq.ts';
import { readStreamFailure, type StreamFailure, unreachable } from '../wire/stream-failure.ts';

/** Where the XMPP server listens for the component, and who the component is. */
export interface ComponentAddress {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  readonly secret: { reveal(): string };
}

/** Events of a connection, for its owner. `onClose` comes exactly once, as the last one. */
export interface ConnectionEvents {
  readonly onOnline: () => void;
  readonly onStanza: (stanza: Element) => void;
  /** The answer to a request; undefined when the stanza is not a request, or should be refused. */
  readonly answerRequest: (stanza: Element) => string | undefined;
  readonly onDrain: () => void;
  readonly onClose: (failure: StreamFailure) => void;
}

/** One component stream, from connecting to closing; it never reconnects. */
export interface ComponentConnection {
  /** Writes whole stanzas at once; call it only between `onOnline` and `onClose`. */
  write(xml: string): void;
  /** Whether written bytes still wait for the socket: `onDrain` follows. */
  isBlocked(): boolean;
  /** Closes the stream politely (RFC 6120 §4.4), if it is open, then the socket. Nothing is written after it. */
  close(): Promise<void>;
  /** Cuts the socket; `onClose` gets `failure`. */
  destroy(failure: StreamFailure): void;
}

/** Deadline of each step: TCP connect, stream header, handshake. */
const stepTimeoutMs = 5000;

const closed = unreachable('the gateway closed the stream');

/** Deadline of each step of closing: the server's end of the stream, and of the connection. */
const closeTimeoutMs = 1000;

/** Connects and authenticates as a component (XEP-0114 §3). */
export function openComponentConnection(
  address: ComponentAddress,
  events: ConnectionEvents,
): ComponentConnection {
  return new LibraryConnection(address, events);
}

class LibraryConnection implements ComponentConnection {
  readonly #entity: Component;
  readonly #events: ConnectionEvents;
  readonly #deadline: NodeJS.Timeout;
  #step = 'TCP connect';
  #failure: StreamFailure | undefined;
  #isOnline = false;
  #isClosed = false;

  constructor(address: ComponentAddress, events: ConnectionEvents) {
    this.#entity = createEntity(address);
    this.#events = events;
    this.#deadline = setTimeout(() => {
      this.destroy(unreachable(`no answer within ${stepTimeoutMs} ms to the ${this.#step}`));
    }, stepTimeoutMs);
    this.#listen();
    connect(this.#entity, address.domain).catch((error: unknown) => {
      this.destroy(readStreamFailure(error));
    });
  }

  write(xml: string): void {
    if (!this.#isOnline) return;
    // `onClose` reports a lost connection, and its handler decides what became of the bytes.
    this.#entity.write(xml).catch(() => {});
  }

  isBlocked(): boolean {
    // A socket that is being destroyed does not show it, so look for the failure first.
    return this.#failure !== undefined || (this.#entity.socket?.writableNeedDrain ?? true);
  }

  async close(): Promise<void> {
    // Before the handshake is answered, `</stream:stream>` would land amid what opens the stream.
    if (this.#isOnline) {
      this.#isOnline = false;
      this.#failure ??= closed;
      this.#entity.timeout = closeTimeoutMs;
      await this.#entity.stop().catch(() => {});
    }
    this.destroy(closed);
  }

  destroy(failure: StreamFailure): void {
    this.#failure ??= failure;
    this.#entity.timeout = closeTimeoutMs;
    if (this.#entity.socket === null) this.#handleClose();
    else this.#entity.socket.destroy();
  }

  #listen(): void {
    const entity = this.#entity;
    entity.on('connect', () => {
      // The socket must decode, or a character that is split across chunks would be damaged.
      entity.socket?.setEncoding('utf8');
      // Otherwise a barrier waits some 40 ms for the delayed ACK of what was written before it. As
      // an option of connect() it would do nothing: Node reads it only where it makes the socket.
      entity.socket?.setNoDelay(true);
      entity.socket?.on('drain', this.#events.onDrain);
      this.#enterStep('stream header');
    });
    entity.on('open', () => this.#enterStep('handshake'));
    entity.on('online', () => {
      clearTimeout(this.#deadline);
      this.#isOnline = true;
      this.#events.onOnline();
    });
    entity.on('stanza', (stanza: Element) => this.#handleStanza(stanza));
    entity.on('error', (error: unknown) => this.destroy(readStreamFailure(error)));
    // The socket may stay open, but nothing may be sent any more (RFC 6120 §4.4).
    entity.on('close', () => this.destroy(unreachable('the XMPP server closed the stream')));
    entity.on('disconnect', () => this.#handleClose());
  }

  #enterStep(step: string): void {
    this.#step = step;
    this.#deadline.refresh();
  }

  #handleStanza(stanza: Element): void {
    const answer = this.#events.answerRequest(stanza) ?? buildServiceUnavailable(stanza);
    if (answer === undefined) this.#events.onStanza(stanza);
    else if (!this.isBlocked()) this.write(answer);
  }

  #handleClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    this.#events.onClose(this.#failure ?? unreachable('the XMPP server closed the connection'));
  }
}

/**
 * The library's component without whatever else would write to the stream: its own reconnect, its move
 * to another host that the server names, and its answers to requests, which echo a stranger's payload.
 */
function createEntity(address: ComponentAddress): Component {
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
  return entity;
}

async function connect(entity: Component, domain: string): Promise<void> {
  await entity.connect('');
  await entity.open({ domain });
}

/**
 * The library's parser with its faults mended. When the `?>` of the XML declaration comes in two pieces,
 * it misses the end of the declaration and reads nothing more; so a `?` at the end of a piece is held
 * back until the next one. (Nothing complete ends with a `?`.) What the parser throws becomes its `error`
 * event. After the end of the stream, or an error, it reads nothing more, as nobody listens any longer.
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
