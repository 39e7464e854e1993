import type { Element } from 'ltx';
import type { StreamFailure } from '../wire/stream-failure.ts';
import type { ComponentConnection } from './connection.ts';

/** Reads a stanza. True means that it was for this reader, so that no other reader sees it. */
export type StanzaReader = (stanza: Element) => boolean;

/** The readers of each kind of stanza, in the order in which they are asked. */
export interface StanzaRoutes {
  /** Messages of type `error`. */
  readonly bounce: readonly StanzaReader[];
  /** All other messages. */
  readonly message: readonly StanzaReader[];
  readonly presence: readonly StanzaReader[];
}

/**
 * The component stream as everything above it sees it: one object that outlives reconnects. It routes
 * each answer (iq) by its id to the question it belongs to, and every other stanza by its kind.
 */
export class StreamHandle {
  /** Cleared with each stream, so that no answer can belong to a question on an earlier stream. */
  readonly #questions = new Map<string, (answer: Element) => void>();
  #routes: StanzaRoutes = { bounce: [], message: [], presence: [] };
  #connection: ComponentConnection | undefined;
  #lastHeard = 0;

  /** Whether there is a stream that has proved itself. */
  isOpen(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether nothing can be written now: written bytes still wait for the socket, or there is no stream. */
  isBlocked(): boolean {
    return this.#connection?.isBlocked() ?? true;
  }

  /** When the last stanza came in, on the clock of `performance.now()`. */
  get lastHeard(): number {
    return this.#lastHeard;
  }

  /** Writes whole stanzas; does nothing while there is no stream. */
  write(xml: string): void {
    this.#connection?.write(xml);
  }

  /**
   * Passes each iq with this id to `read`, until `forget(id)` or the end of the stream. Anybody can
   * write to a component, so ids must be unguessable and `read` must check the addresses.
   */
  expect(id: string, read: (answer: Element) => void): void {
    if (this.#connection !== undefined) this.#questions.set(id, read);
  }

  forget(id: string): void {
    this.#questions.delete(id);
  }

  /** Cuts the stream; its owner hears of `failure`. */
  destroy(failure: StreamFailure): void {
    this.#connection?.destroy(failure);
  }

  route(routes: StanzaRoutes): void {
    this.#routes = routes;
  }

  attach(connection: ComponentConnection): void {
    this.#connection = connection;
    this.#lastHeard = performance.now();
  }

  detach(): void {
    this.#connection = undefined;
    this.#questions.clear();
  }

  /** Routes a stanza that came in. */
  receive(stanza: Element): void {
    this.#lastHeard = performance.now();
    const { id, type } = stanza.attrs;
    switch (stanza.getName()) {
      case 'iq':
        this.#questions.get(String(id))?.(stanza);
        break;
      case 'message':
        offer(stanza, type === 'error' ? this.#routes.bounce : this.#routes.message);
        break;
      case 'presence':
        offer(stanza, this.#routes.presence);
        break;
      default:
        break;
    }
  }
}

function offer(stanza: Element, readers: readonly StanzaReader[]): void {
  readers.some((read) => read(stanza));
}
