import type { Jid } from '../jid/jid.ts';
import type { ModeReport } from './mode.ts';

/**
 * Asks the XMPP server whether a password belongs to a user (bare JID). `false` is a definite no;
 * rejects with GatewayError `authentication-unavailable` if the server gave no definite answer.
 */
export type PasswordCheck = (user: Jid, password: string) => Promise<boolean>;

/**
 * Whether messages can be sent now. `reason` and `degraded` are sentences for the operator; `degraded`
 * says what does not work although messages can be sent.
 */
export type Readiness =
  | {
      readonly ready: true;
      readonly domains: Readonly<Record<string, ModeReport>>;
      readonly degraded?: string;
    }
  | { readonly ready: false; readonly reason: string };
