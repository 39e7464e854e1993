import type { Element } from 'ltx';
import type { StreamFailure } from '../wire/stream-failure.ts';
import {
  type ComponentAddress,
  type ComponentConnection,
  openComponentConnection,
} from './connection.ts';
import { type DomainModes, type Served, TrustProof } from './trust-proof.ts';

/** Events of a stream, for its owner. `onStanza`, `onDrain` and `onModes` come only after `onReady`. */
export interface StreamEvents {
  readonly onReady: (connection: ComponentConnection, modes: DomainModes) => void;
  /** The server offers something since then: messages of some domain may go out in another mode. */
  readonly onModes?: (modes: DomainModes) => void;
  readonly onStanza: (stanza: Element) => void;
  /** The answer to a request; without one, the request is refused. */
  readonly answerRequest?: (stanza: Element) => string | undefined;
  readonly onDrain: () => void;
  readonly onClose: (failure: StreamFailure) => void;
}

/** Deadline in milliseconds for everything that the server has to prove. */
const proofTimeoutMs = 3000;

/**
 * How many milliseconds the stream waits for privileges once everything has been answered: ejabberd
 * announces them from a separate process (measured on 26.07: on one stream in four after the first
 * answers). What comes later changes the mode of an open stream.
 */
const defaultAnnouncementMs = 500;

/**
 * How often, in milliseconds, domains are asked for the module: it may be loaded, or set up anew, while
 * the stream is open, which no server announces.
 */
const lookMs = 10_000;

/** A component stream that the server trusts, once it is ready. */
export interface TrustedConnection extends ComponentConnection {
  /** Asks now for modules that have been loaded since the stream was opened; `onModes` may follow. */
  lookForModules(): void;
}

/**
 * Opens a component stream and makes the server prove, for each served domain, that the component may
 * speak for it (`TrustProof`). Meanwhile it finds out in which mode messages can be sent;
 * `announcementMs` is how long it waits for privileges that may still be announced.
 */
export function openTrustedStream(
  address: ComponentAddress,
  served: Served,
  events: StreamEvents,
  announcementMs: number = defaultAnnouncementMs,
): TrustedConnection {
  return new TrustedStream(address, served, events, announcementMs);
}

class TrustedStream implements TrustedConnection {
  readonly #served: Served;
  readonly #events: StreamEvents;
  readonly #announcementMs: number;
  readonly #proof: TrustProof;
  readonly #connection: ComponentConnection;
  #state: 'connecting' | 'asked' | 'refused' | 'ready' = 'connecting';
  #deadline: NodeJS.Timeout | undefined;
  #announcement: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;

  constructor(
    address: ComponentAddress,
    served: Served,
    events: StreamEvents,
    announcementMs: number,
  ) {
    this.#served = served;
    this.#events = events;
    this.#announcementMs = announcementMs;
    this.#proof = new TrustProof(address.domain, served);
    this.#connection = openComponentConnection(address, {
      onOnline: () => this.#ask(),
      onStanza: (stanza) => this.#handleStanza(stanza),
      answerRequest: (stanza) => events.answerRequest?.(stanza),
      onDrain: () => {
        if (this.#state === 'ready') events.onDrain();
      },
      onClose: (failure) => {
        this.#stopTimers();
        const isUntrusted = failure.kind === 'untrusted';
        events.onClose(isUntrusted ? untrusted(address.domain, served.domains) : failure);
      },
    });
  }

  write(xml: string): void {
    this.#connection.write(xml);
  }

  isBlocked(): boolean {
    return this.#connection.isBlocked();
  }

  async close(): Promise<void> {
    if (this.#state !== 'ready') this.#stopAsking();
    await this.#connection.close();
  }

  destroy(failure: StreamFailure): void {
    this.#connection.destroy(failure);
  }

  lookForModules(): void {
    const question = this.#proof.askForModules();
    if (question !== '' && this.#state === 'ready' && !this.isBlocked()) this.write(question);
  }

  #ask(): void {
    this.#state = 'asked';
    this.#deadline = setTimeout(() => this.#endWaiting(), proofTimeoutMs);
    this.#connection.write(this.#proof.xml);
  }

  #handleStanza(stanza: Element): void {
    // After a refusal, whatever came in the same chunk is ignored.
    if (this.#state === 'refused') return;
    if (this.#state !== 'ready') {
      this.#decide(stanza);
      return;
    }
    const late = this.#proof.hearLate(stanza);
    if (late !== undefined && 'kind' in late) {
      this.#refuse(late);
      return;
    }
    if (late !== undefined) this.#events.onModes?.(late);
    this.#events.onStanza(stanza);
  }

  #decide(stanza: Element): void {
    const failure = this.#proof.handleStanza(stanza);
    if (failure !== undefined) this.#refuse(failure);
    if (this.#state !== 'asked' || !this.#proof.isComplete()) return;
    if (!this.#proof.mayBeAnnounced()) this.#finish();
    else if (this.#served.mode === 'auto') {
      this.#announcement ??= setTimeout(() => this.#finish(), this.#announcementMs);
    }
  }

  #endWaiting(): void {
    const failure = this.#proof.describeMissing(proofTimeoutMs);
    if (failure === undefined) this.#finish();
    else this.#refuse(failure);
  }

  #finish(): void {
    this.#stopTimers();
    const modes = this.#proof.chooseModes();
    if ('kind' in modes) {
      this.#refuse(modes);
      return;
    }
    this.#state = 'ready';
    this.#looking = setInterval(() => this.lookForModules(), lookMs);
    this.#events.onReady(this, modes);
  }

  #refuse(failure: StreamFailure): void {
    this.#stopAsking();
    this.#connection.destroy(failure);
  }

  #stopAsking(): void {
    this.#state = 'refused';
    this.#stopTimers();
  }

  #stopTimers(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#announcement);
    clearInterval(this.#looking);
  }
}

function untrusted(component: string, domains: readonly string[]): StreamFailure {
  return {
    kind: 'untrusted',
    reason: `the XMPP server does not let ${component} send from addresses of ${domains.join(', ')}`,
  };
}
