import type { ModeReport } from './mode.ts';

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
