/** What was tried and how it went. */
export interface Finding {
  readonly isGood: boolean;
  readonly text: string;
  /** How to mend what failed, or to have more of what is right. */
  readonly advice?: string | undefined;
}
