import { GatewayError } from './errors.ts';
import { createFaultList, escapePointer, type FaultList, maxPointerLength } from './fault-list.ts';
import { describeJsonFault } from './json-fault.ts';
import { quote } from './text.ts';

/**
 * Parses a JSON text (RFC 8259), ignoring a byte order mark at its start. Throws GatewayError:
 * `malformed-body`, or `invalid-message` if an object has the same name twice.
 */
export function parseJson(text: string): unknown {
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The engine's error is no cause to keep: its message repeats parts of the body.
    const fault = describeJsonFault(json);
    const detail =
      fault === undefined ? 'The body is not JSON.' : `The body is not JSON: ${fault}.`;
    throw new GatewayError('malformed-body', detail);
  }
  refuseDuplicates(json);
  return value;
}

/** An object or array that is being scanned. */
interface Frame {
  /** The names seen in an object; undefined for an array. */
  readonly names: Set<string> | undefined;
  /** The name or index of the member being scanned. */
  key: string | number;
  expectsName: boolean;
}

/** RFC 8259 §4: names SHOULD be unique; parsers disagree about which of two equal names counts. */
function refuseDuplicates(json: string): void {
  let faults: FaultList | undefined;
  const open: Frame[] = [];
  let frame: Frame | undefined;
  // JSON.parse has accepted the text, so it is enough to look at brackets, commas and strings.
  for (let index = 0; index < json.length; index += 1) {
    switch (json.charCodeAt(index)) {
      case 0x22: {
        const end = findStringEnd(json, index);
        if (frame?.expectsName && !isNewName(frame, readName(json, index, end))) {
          faults ??= createFaultList();
          // Built only when reported: it is as long as the nesting is deep, and building it for every
          // fault of a hostile body would take minutes.
          faults.add(
            () => pointerTo(open),
            `The name ${quote(String(frame.key))} occurs more than once in one object.`,
          );
        }
        index = end;
        break;
      }
      case 0x7b: // {
        frame = { names: new Set(), key: '', expectsName: true };
        open.push(frame);
        break;
      case 0x5b: // [
        frame = { names: undefined, key: 0, expectsName: false };
        open.push(frame);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        frame = open.at(-1);
        break;
      case 0x2c: // ,
        if (frame !== undefined) nextMember(frame);
    }
  }
  if (faults !== undefined) throw faults.toError();
}

/** As much of the pointer as is reported: the nesting may be as deep as the body is long. */
function pointerTo(open: readonly Frame[]): string {
  let pointer = '';
  for (const { key } of open) {
    if (pointer.length > maxPointerLength) break;
    pointer += `/${escapePointer(String(key))}`;
  }
  return pointer;
}

/** Notes the name of a member; returns whether the object has it for the first time. */
function isNewName(frame: Frame, name: string): boolean {
  frame.key = name;
  frame.expectsName = false;
  if (frame.names?.has(name)) return false;
  frame.names?.add(name);
  return true;
}

function nextMember(frame: Frame): void {
  if (typeof frame.key === 'number') frame.key += 1;
  else frame.expectsName = true;
}

/** Returns the index of the quotation mark that ends the string starting at `start`. */
function findStringEnd(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end;
}

function isEscaped(json: string, index: number): boolean {
  let first = index;
  while (json.charCodeAt(first - 1) === 0x5c) first -= 1;
  return (index - first) % 2 === 1;
}

function readName(json: string, start: number, end: number): string {
  const raw = json.slice(start + 1, end);
  return raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
}

/** Whether the value is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names the kind of a JSON value for an error message. */
export function describeJsonValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
