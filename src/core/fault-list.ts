import { describeFault, type Fault, GatewayError } from './errors.ts';
import { abbreviate } from './text.ts';

/** Further faults are only counted: the answer must not grow with a hostile body. */
const maxReported = 32;
/** A longer pointer is cut off, so that nobody needs to build more of it. In characters. */
export const maxPointerLength = 512;

/** Collects what is wrong with a body, so that one answer reports everything. */
export interface FaultList {
  /**
   * Adds a fault. `pointer` is as in `Fault`, `detail` is a sentence for the caller; either may be a
   * function that builds it, called only if the fault will be reported.
   */
  add(pointer: string | (() => string), detail: string | (() => string)): void;
  isEmpty(): boolean;
  /** GatewayError `invalid-message` with the first faults and the number of all. */
  toError(): GatewayError;
}

/** An empty list of faults. */
export function createFaultList(): FaultList {
  return new Faults();
}

class Faults implements FaultList {
  readonly #reported: Fault[] = [];
  #count = 0;

  add(pointer: string | (() => string), detail: string | (() => string)): void {
    this.#count += 1;
    if (this.#reported.length >= maxReported) return;
    this.#reported.push({
      pointer: abbreviate(build(pointer), maxPointerLength),
      detail: build(detail),
    });
  }

  isEmpty(): boolean {
    return this.#count === 0;
  }

  toError(): GatewayError {
    const [fault] = this.#reported;
    const first = fault === undefined ? '' : describeFault(fault);
    const detail = this.#count === 1 ? first : `${this.#count} faults; the first: ${first}`;
    return new GatewayError('invalid-message', detail, { errors: this.#reported });
  }
}

function build(text: string | (() => string)): string {
  return typeof text === 'string' ? text : text();
}

/** Escapes one reference token of a JSON pointer (RFC 6901 §3). */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}
