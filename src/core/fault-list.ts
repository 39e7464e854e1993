import { type Fault, GatewayError } from './errors.ts';
import { abbreviate } from './text.ts';

/** More faults than these are counted, not told: an answer must not grow with a hostile body. */
const mostToldFaults = 32;
const longestPointer = 512;

/** Gathers what is wrong with a body, so that all of it is reported at once. */
export interface FaultList {
  /**
   * Notes a fault: `pointer` as in `Fault`, or what makes it, called only if the fault will be told;
   * `detail` a sentence for the caller.
   */
  add(pointer: string | (() => string), detail: string): void;
  isEmpty(): boolean;
  /** GatewayError `invalid-message` with what was noted, the first ones of very many. */
  toError(): GatewayError;
}

/** An empty list of faults. */
export function createFaultList(): FaultList {
  const told: Fault[] = [];
  let count = 0;
  return {
    add(pointer, detail) {
      count += 1;
      if (told.length >= mostToldFaults) return;
      const text = typeof pointer === 'string' ? pointer : pointer();
      told.push({ pointer: abbreviate(text, longestPointer), detail });
    },
    isEmpty: () => count === 0,
    toError: () => {
      const first = told[0]?.detail ?? '';
      const detail = count === 1 ? first : `${count} faults; the first: ${first}`;
      return new GatewayError('invalid-message', detail, { errors: told });
    },
  };
}

/** One reference token of a JSON pointer (RFC 6901 §3). */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}
