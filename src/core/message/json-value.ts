import type { FaultList } from '../fault-list.ts';
import { findIllegalCharacter } from '../xml/names.ts';

/** Is this a JSON object? */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What kind of JSON value this is, for an error message. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A string that XML can carry; anything else is noted as a fault. */
export function readString(value: unknown, pointer: string, faults: FaultList): string | undefined {
  if (typeof value !== 'string') {
    faults.add(pointer, `Expected a string, got ${describeValue(value)}.`);
    return undefined;
  }
  const illegal = findIllegalCharacter(value);
  if (illegal === undefined) return value;
  const { name, index } = illegal;
  faults.add(pointer, `XML cannot carry the character ${name}, which stands at index ${index}.`);
  return undefined;
}
