/** Whether messages can be sent now; `reason` is a sentence for the operator. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reason: string };
