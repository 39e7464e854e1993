import { GatewayError, type ProblemCode } from '../../../src/core/errors.ts';

/** The parts of a refusal that the caller sees; rethrows anything but a GatewayError. */
export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly pointers: readonly string[];
}

/** Returns the refusal that a function throws; fails if it returns. */
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
