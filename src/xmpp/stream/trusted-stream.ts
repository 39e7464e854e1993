import type { Element } from 'ltx';
import type { StreamFailure } from '../wire/stream-failure.ts';
import {
  type ComponentAddress,
  type ComponentConnection,
  openComponentConnection,
} from './connection.ts';
import { type DomainModes, type Served, TrustProof } from './trust-proof.ts';

/** What a stream tells its owner; `onStanza`, `onDrain` and `onModes` only after `onReady`. */
export interface StreamEvents {
  readonly onReady: (connection: ComponentConnection, modes: DomainModes) => void;
  /** The server has announced a privilege late: messages of some domain are sent in another mode now. */
  readonly onModes?: (modes: DomainModes) => void;
  readonly onStanza: (stanza: Element) => void;
  /** The answer to a request; what it does not answer is refused. */
  readonly answerRequest?: (stanza: Element) => string | undefined;
  readonly onDrain: () => void;
  readonly onClose: (failure: StreamFailure) => void;
}

/** Deadline in milliseconds for a server to answer all that proves the trust. */
const proofTimeoutMs = 3000;

/**
 * How long the stream waits for privileges after everything was answered, in milliseconds: ejabberd
 * announces them from a process of its own (measured on 26.07: after the first answers on one stream
 * in four).
 */
const announcementMs = 500;

/**
 * Opens a component stream and lets the server prove, for each served domain, that the component
 * may speak for it (`TrustProof`). On the way it finds out in which mode messages can be sent.
 */
export function openTrustedStream(
  address: ComponentAddress,
  served: Served,
  events: StreamEvents,
): ComponentConnection {
  const proof = new TrustProof(address.domain, served);
  let state: 'connecting' | 'asked' | 'refused' | 'ready' = 'connecting';
  let deadline: NodeJS.Timeout | undefined;
  let announcement: NodeJS.Timeout | undefined;

  const stopAsking = (): void => {
    state = 'refused';
    clearTimeout(deadline);
    clearTimeout(announcement);
  };
  const refuse = (failure: StreamFailure): void => {
    stopAsking();
    connection.destroy(failure);
  };
  const finish = (): void => {
    clearTimeout(deadline);
    clearTimeout(announcement);
    const modes = proof.chooseModes();
    if ('kind' in modes) {
      refuse(modes);
      return;
    }
    state = 'ready';
    events.onReady(connection, modes);
  };
  const endWaiting = (): void => {
    const failure = proof.describeMissing(proofTimeoutMs);
    if (failure === undefined) finish();
    else refuse(failure);
  };
  const decide = (stanza: Element): void => {
    const failure = proof.handleStanza(stanza);
    if (failure !== undefined) refuse(failure);
    if (state !== 'asked' || !proof.isComplete()) return;
    if (!proof.mayBeAnnounced()) finish();
    else if (served.mode === 'auto') announcement ??= setTimeout(finish, announcementMs);
  };

  const connection = openComponentConnection(address, {
    onOnline: () => {
      state = 'asked';
      deadline = setTimeout(endWaiting, proofTimeoutMs);
      connection.write(proof.xml);
    },
    onStanza: (stanza) => {
      if (state === 'ready') {
        const modes = proof.hearLate(stanza);
        if (modes !== undefined) events.onModes?.(modes);
        events.onStanza(stanza);
        // What was read together with the stanza that decided is left.
      } else if (state !== 'refused') {
        decide(stanza);
      }
    },
    answerRequest: (stanza) => events.answerRequest?.(stanza),
    onDrain: () => {
      if (state === 'ready') events.onDrain();
    },
    onClose: (failure) => {
      clearTimeout(deadline);
      clearTimeout(announcement);
      events.onClose(
        failure.kind === 'untrusted' ? untrusted(address.domain, served.domains) : failure,
      );
    },
  });
  return {
    ...connection,
    close: async () => {
      if (state !== 'ready') stopAsking();
      await connection.close();
    },
  };
}

function untrusted(component: string, domains: readonly string[]): StreamFailure {
  return {
    kind: 'untrusted',
    reason: `the XMPP server does not let ${component} send from addresses of ${domains.join(', ')}`,
  };
}
