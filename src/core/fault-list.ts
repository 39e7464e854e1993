import { describeFault, type Fault, GatewayError } from './errors.ts';
import { abbreviate } from './text.ts';

/** Further faults are only counted: the answer must not grow with a hostile body. */
const maxReported = 32;
const maxPointerLength = 512;

/** Collects what is wrong with a body, so that one answer reports everything. */
export interface FaultList {
  /**
   * Adds a fault. `pointer` is as in `Fault`, or a function that builds it, called only if the fault
   * will be reported; `detail` is a sentence for the caller.
   */
  add(pointer: string | (() => string), detail: string): void;
  isEmpty(): boolean;
  /** GatewayError `invalid-message` with the first faults and the number of all. */
  toError(): GatewayError;
}

/** An empty list of faults. */
export function createFaultList(): FaultList {
  const reported: Fault[] = [];
  let count = 0;
  return {
    add(pointer, detail) {
      count += 1;
      if (reported.length >= maxReported) return;
      const text = typeof pointer === 'string' ? pointer : pointer();
      reported.push({ pointer: abbreviate(text, maxPointerLength), detail });
    },
    isEmpty: () => count === 0,
    toError: () => {
      const first = reported[0] === undefined ? '' : describeFault(reported[0]);
      const detail = count === 1 ? first : `${count} faults; the first: ${first}`;
      return new GatewayError('invalid-message', detail, { errors: reported });
    },
  };
}

/** Escapes one reference token of a JSON pointer (RFC 6901 §3). */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}
