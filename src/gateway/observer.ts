import type { LoginResult } from '../auth/login.ts';
import type { PasswordCheck } from '../auth/users.ts';
import type { Deliver } from '../core/message/message.ts';
import type { OnDrop } from '../http/server/connections.ts';

/** Hears what the gateway does. */
export interface Observer {
  onRequest(endpoint: string, code: string, seconds: number): void;
  onLogin(result: LoginResult): void;
  onBarrier(seconds: number): void;
  onStream(isReady: boolean): void;
  onLateBounce(): void;
  onLateReceipt(): void;
  readonly onConnectionDropped: OnDrop;
  measureDelivery(deliver: Deliver): Deliver;
  measurePasswordCheck(check: PasswordCheck): PasswordCheck;
  /** `read` returns what is in flight now. */
  watchInFlight(read: () => InFlightCount): void;
  /** `failure` returns why the store cannot be used now. Not called if there is no store. */
  watchStore(failure: () => string | undefined): void;
}

/** Messages that are written but not confirmed. */
export interface InFlightCount {
  readonly count: number;
  readonly bytes: number;
}

const ignore = (): void => {};

/** For a gateway without metrics. */
export const idleObserver: Observer = {
  onRequest: ignore,
  onLogin: ignore,
  onBarrier: ignore,
  onStream: ignore,
  onLateBounce: ignore,
  onLateReceipt: ignore,
  onConnectionDropped: ignore,
  measureDelivery: (deliver) => deliver,
  measurePasswordCheck: (check) => check,
  watchInFlight: ignore,
  watchStore: ignore,
};
