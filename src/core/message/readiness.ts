import type { ModeReport } from './mode.ts';

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
