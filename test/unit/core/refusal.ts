import { GatewayError, type ProblemCode } from '../../../src/core/errors.ts';

/** What a caller learns of a refusal; anything but a GatewayError is thrown on. */
export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly pointers: readonly string[];
}

/** The refusal that a function ends with; fails when it returns. */
export function refusalOf(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const pointers = (error.options.errors ?? []).map(({ pointer }) => pointer);
    return { code: error.code, detail: error.message, pointers };
  }
  throw new Error('expected a refusal');
}
