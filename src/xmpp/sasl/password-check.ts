import { createSecureContext } from 'node:tls';
import { saslprep } from '@mongodb-js/saslprep';
import type { Jid } from '../../core/jid/jid.ts';
import { authenticationUnavailable } from '../wire/gateway-errors.ts';
import {
  type ClientStream,
  type ClientStreamOptions,
  openClientStream,
  type StreamSecurity,
} from './client-stream.ts';
import { authenticate, type SaslCredentials } from './exchange.ts';
import { chooseMechanisms, type Mechanism, mayStillAccept } from './mechanisms.ts';

/** Where and how passwords are checked. */
export interface PasswordCheckOptions {
  readonly host: string;
  readonly port: number;
  readonly security: StreamSecurity;
  /** PEM text of the only CAs to trust; undefined for the CAs that Node.js trusts. */
  readonly ca: string | undefined;
  /** Deadline of a check, including its wait for a connection. */
  readonly timeoutMs: number;
  /** How many connections there may be at once. */
  readonly maxConcurrent: number;
}

/** How many checks may wait for a connection. */
const maxWaitingChecks = 1000;

/** In UTF-8. A longer one comes near the 10,000 bytes that Prosody accepts before a login. */
const maxPasswordBytes = 4096;

/**
 * Checks users' passwords by a login at the XMPP server, as a client that binds no resource. The check
 * resolves with false if the server refuses the password, and rejects with GatewayError
 * `authentication-unavailable` if it gives no definite answer.
 */
export function createPasswordCheck(
  options: PasswordCheckOptions,
): (user: Jid, password: string) => Promise<boolean> {
  const { host, port, security, ca, timeoutMs, maxConcurrent } = options;
  const slots = createDialSlots(maxConcurrent, maxWaitingChecks);
  // Created once, because reading the certificates of all CAs takes longer than a login.
  const secureContext = createSecureContext({ ca, minVersion: 'TLSv1.2' });
  const streamOptions: ClientStreamOptions = { host, port, security, secureContext };

  return async (user, password) => {
    const credentials = prepareCredentials(user, password);
    if (credentials === undefined) {
      return false;
    }
    return await withDeadline(timeoutMs, user.domain, (signal) =>
      slots.run(() => logIn(streamOptions, user.domain, credentials, signal), signal),
    );
  };
}

/**
 * Tries the offered mechanisms, strongest first, until the server accepts the credentials or none is
 * left. One is not enough: ejabberd stores one hash of each password, and when its setting has since
 * changed to another hash, it offers that one and answers `not-authorized` to the right password.
 */
async function logIn(
  options: ClientStreamOptions,
  domain: string,
  credentials: SaslCredentials,
  signal: AbortSignal,
): Promise<boolean> {
  const ruledOut = new Set<string>();
  let offered: readonly Mechanism[] | undefined;
  for (;;) {
    const stream = await openClientStream(options, domain, signal);
    try {
      const mechanisms = chooseMechanisms(stream);
      assertSameOffer(offered ?? mechanisms, mechanisms);
      offered = mechanisms;
      const verdict = await tryInTurn(stream, mechanisms, ruledOut, credentials);
      if (verdict !== undefined) {
        return verdict;
      }
    } finally {
      stream.close();
    }
  }
}

/**
 * Tries the mechanisms that are not ruled out, and rules out those that cannot accept the credentials.
 * Undefined when the server ended the stream before all were tried.
 */
async function tryInTurn(
  stream: ClientStream,
  mechanisms: readonly Mechanism[],
  ruledOut: Set<string>,
  credentials: SaslCredentials,
): Promise<boolean | undefined> {
  let refusals = 0;
  for (const mechanism of mechanisms) {
    if (ruledOut.has(mechanism.name)) {
      continue;
    }
    try {
      const outcome = await authenticate(stream, mechanism, credentials);
      if (outcome === 'accepted' || outcome === 'denied') {
        return outcome === 'accepted';
      }
      const useless = mechanisms.filter(
        (other) =>
          other === mechanism || (outcome === 'wrong-proof' && !mayStillAccept(other, mechanism)),
      );
      for (const { name } of useless) {
        ruledOut.add(name);
      }
      refusals += 1;
    } catch (error) {
      // RFC 6120 §6.4.5: a server may end the stream after a failed attempt.
      if (refusals === 0 || !stream.hasEnded()) {
        throw error;
      }
      return undefined;
    }
  }
  return false;
}

/** A weaker mechanism may follow a stronger one that was refused, but not one that has vanished. */
function assertSameOffer(before: readonly Mechanism[], now: readonly Mechanism[]): void {
  const [had, has] = [before, now].map((list) => list.map(({ name }) => name).join(', '));
  if (had !== has) {
    throw authenticationUnavailable(
      `The XMPP server changed its SASL mechanisms during a login: it offered ${had}, then ${has}.`,
    );
  }
}

/** Undefined when no user can have such credentials. */
function prepareCredentials(user: Jid, password: string): SaslCredentials | undefined {
  const username = prepare(user.local ?? '');
  const preparedPassword = prepare(password);
  if (username === undefined || preparedPassword === undefined) {
    return undefined;
  }
  return { username, password, preparedPassword };
}

/**
 * SASLprep (RFC 4013). It also refuses control characters: HMAC pads keys with NUL, so SCRAM would not
 * notice a NUL at the end of a password.
 */
function prepare(text: string): string | undefined {
  if (Buffer.byteLength(text) > maxPasswordBytes) {
    return undefined;
  }
  try {
    // Unassigned code points are allowed in a query (RFC 4013 §2.5), and Prosody stores them.
    return saslprep(text, { allowUnassigned: true }) || undefined;
  } catch {
    return undefined;
  }
}

/** Rejects at the deadline and aborts the task's signal; the task may still clean up. */
async function withDeadline<T>(
  timeoutMs: number,
  domain: string,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = authenticationUnavailable(
        `The XMPP server of ${domain} did not decide on the login within ${timeoutMs} ms.`,
      );
      controller.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([task(controller.signal), expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a limited number of tasks at once; the others wait in order. */
export interface DialSlots {
  /**
   * A task that has not started is given up with the signal's reason, or with
   * `authentication-unavailable` when too many wait. A started task keeps its slot until it ends.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** Creates `maxActive` slots; at most `maxWaiting` tasks may wait for one. */
export function createDialSlots(maxActive: number, maxWaiting: number): DialSlots {
  const waiting = new Set<() => void>();
  let active = 0;

  const acquire = async (signal: AbortSignal): Promise<void> => {
    if (active < maxActive) {
      active += 1;
      return;
    }
    if (waiting.size >= maxWaiting) {
      throw authenticationUnavailable('Too many logins are waiting for the XMPP server.');
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      waiting.add(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  };

  const release = (): void => {
    const [next] = waiting;
    if (next === undefined) {
      active -= 1;
    } else {
      // Handed over directly, so that no task can come in between and take the slot.
      waiting.delete(next);
      next();
    }
  };

  return {
    run: async (task, signal) => {
      await acquire(signal);
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
