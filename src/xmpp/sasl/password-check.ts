import { createSecureContext } from 'node:tls';
import { saslprep } from '@mongodb-js/saslprep';
import type { Jid } from '../../core/jid/jid.ts';
import type { PasswordCheck } from '../../core/message/ports.ts';
import { authenticationUnavailable } from '../wire/outcome.ts';
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
  /** PEM text of the only CAs to trust; undefined for those that Node.js trusts. */
  readonly ca: string | undefined;
  /** Deadline of a check, its wait for a slot included. */
  readonly timeoutMs: number;
  /** Most connections at once. */
  readonly maxConcurrent: number;
}

/** Most checks that wait for a connection. */
const maxWaitingChecks = 1000;

/** Above it, in UTF-8, a PLAIN login comes near the 10,000 bytes that Prosody accepts before it. */
const maxPasswordBytes = 4096;

/** Creates the check of users' passwords by a login at the XMPP server, as a client without a resource. */
export function createPasswordCheck(options: PasswordCheckOptions): PasswordCheck {
  const { host, port, security, ca, timeoutMs, maxConcurrent } = options;
  const slots = createDialSlots(maxConcurrent, maxWaitingChecks);
  // Made once: reading the certificates of all CAs takes longer than a login.
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
 * Tries what the server offers, strongest first, until it accepts the credentials or none is left:
 * ejabberd stores one hash of a password, and says `not-authorized` to a right one when its setting,
 * and so its offer, has moved on to another hash.
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
 * Tries the mechanisms that are not ruled out, and rules out what cannot accept the credentials.
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
      // RFC 6120 §6.4.5: a server need not allow another attempt on the same stream.
      if (refusals === 0 || !stream.hasEnded()) {
        throw error;
      }
      return undefined;
    }
  }
  return false;
}

/** A weaker mechanism comes next because a stronger one has refused, never because that has gone. */
function assertSameOffer(before: readonly Mechanism[], now: readonly Mechanism[]): void {
  const [had, has] = [before, now].map((list) => list.map(({ name }) => name).join(', '));
  if (had !== has) {
    throw authenticationUnavailable(
      `The XMPP server changed its SASL mechanisms during a login: it offered ${had}, then ${has}.`,
    );
  }
}

/** Undefined for credentials that no user can have. */
function prepareCredentials(user: Jid, password: string): SaslCredentials | undefined {
  const username = prepare(user.local ?? '');
  const preparedPassword = prepare(password);
  if (username === undefined || preparedPassword === undefined) {
    return undefined;
  }
  return { username, password, preparedPassword };
}

/**
 * SASLprep (RFC 4013), which also refuses control characters: HMAC pads keys with NUL, so one at
 * the end of a password would go unnoticed by SCRAM.
 */
function prepare(text: string): string | undefined {
  if (Buffer.byteLength(text) > maxPasswordBytes) {
    return undefined;
  }
  try {
    // A password is asked for here, not stored (RFC 4013 §2.5), and Prosody stores newer characters.
    return saslprep(text, { allowUnassigned: true }) || undefined;
  } catch {
    return undefined;
  }
}

/** Rejects at the deadline and tells the task by its signal; the task may still clean up. */
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

/** Runs tasks, at most so many at once; the others wait in the order in which they came. */
export interface DialSlots {
  /** Rejects without a run with the signal's reason, or `authentication-unavailable` when too many wait. */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** Creates slots for `maxActive` tasks, for which at most `maxWaiting` more may wait. */
export function createDialSlots(maxActive: number, maxWaiting: number): DialSlots {
  const waiting = new Set<() => void>();
  let active = 0;

  const acquire = async (signal: AbortSignal): Promise<void> => {
    if (active < maxActive) {
      active += 1;
      return;
    }
    if (waiting.size >= maxWaiting) {
      throw authenticationUnavailable('Too many logins wait for the XMPP server.');
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
      // The slot passes on: nobody who comes in between can take it.
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
