import type { LoginResult } from '../auth/login.ts';
import type { Deliver } from '../core/message/message.ts';
import type { PasswordCheck } from '../core/message/ports.ts';
import type { OnDrop } from '../http/server/connections.ts';

/** Who is told what the gateway does. */
export interface Observer {
  onRequest(endpoint: string, code: string, seconds: number): void;
  onLogin(result: LoginResult): void;
  onBarrier(seconds: number): void;
  onStream(isReady: boolean): void;
  onLateBounce(): void;
  readonly onConnectionDropped: OnDrop;
  measureDelivery(deliver: Deliver): Deliver;
  measurePasswordCheck(check: PasswordCheck): PasswordCheck;
  /** Tells where to read what is in flight. */
  watchInFlight(read: () => InFlightCount): void;
  /** Tells where to read why the store cannot be used; without a store there is no such metric. */
  watchStore(failure: () => string | undefined): void;
}

/** Messages whose fate is not known yet. */
export interface InFlightCount {
  readonly count: number;
  readonly bytes: number;
}

const ignore = (): void => {};

/** Measures nothing: for a gateway whose metrics nobody reads. */
export const idleObserver: Observer = {
  onRequest: ignore,
  onLogin: ignore,
  onBarrier: ignore,
  onStream: ignore,
  onLateBounce: ignore,
  onConnectionDropped: ignore,
  measureDelivery: (deliver) => deliver,
  measurePasswordCheck: (check) => check,
  watchInFlight: ignore,
  watchStore: ignore,
};
