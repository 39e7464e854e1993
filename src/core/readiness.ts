import type { ModeReport } from './mode.ts';

/** Whether messages can be sent now; `reason` is a sentence for the operator. */
export type Readiness =
  | { readonly ready: true; readonly domains: Readonly<Record<string, ModeReport>> }
  | { readonly ready: false; readonly reason: string };
