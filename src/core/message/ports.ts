import type { Jid } from '../jid/jid.ts';
import type { ModeReport } from './mode.ts';

/**
 * Asks the XMPP server whether the password is the user's (bare JID). `false` means a definite no;
 * rejects with GatewayError `authentication-unavailable` when the server did not say either.
 */
export type PasswordCheck = (user: Jid, password: string) => Promise<boolean>;

/**
 * Whether messages can be sent now; `reason` is a sentence for the operator, and so is `degraded`:
 * what does not work meanwhile.
 */
export type Readiness =
  | {
      readonly ready: true;
      readonly domains: Readonly<Record<string, ModeReport>>;
      readonly degraded?: string;
    }
  | { readonly ready: false; readonly reason: string };
