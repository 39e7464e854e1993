import { stripVTControlCharacters } from 'node:util';
import type { DestinationStream } from 'pino';

/** Names and colours of pino's levels. */
const levels = new Map<unknown, readonly [name: string, colour: number]>([
  [10, ['trace', 90]],
  [20, ['debug', 90]],
  [30, ['info', 32]],
  [40, ['warn', 33]],
  [50, ['error', 31]],
  [60, ['fatal', 31]],
]);

/** Fields whose text has lines of its own. */
const blocks: readonly string[] = ['advice', 'stack'];

/** A destination for pino that writes each line for people: time, level, message, key=value. */
export function createPrettyLog(
  output: { write: (text: string) => unknown },
  isColoured: boolean,
): DestinationStream {
  return { write: (line) => void output.write(formatLogLine(line, isColoured)) };
}

/** Writes a JSON line of the log for people; what is not JSON stays as it is. */
export function formatLogLine(line: string, isColoured: boolean): string {
  const { level, time, msg, ...fields } = parseLine(line) ?? {};
  if (typeof time !== 'number') return line;
  const [name, colour] = levels.get(level) ?? [String(level), 0];
  const paint = (text: string, code: number): string =>
    isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
  const pairs = Object.entries(flatten(fields));
  const inline = pairs
    .filter(([key]) => !blocks.includes(key))
    .map(([key, value]) => ` ${paint(`${key}=`, 90)}${formatValue(value)}`);
  const below = pairs
    .filter(([key]) => blocks.includes(key))
    .map(([, value]) => escapeLines(String(value)).replace(/^(?=.)/gm, '    '));
  // Local time: whoever reads this sits before the machine.
  const at = new Date(time);
  const clock = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const head = `${paint(clock, 90)} ${paint(name.padEnd(5), colour)} ${String(msg)}${inline.join('')}`;
  return `${[head, ...below].join('\n')}\n`;
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Of an error the message and the stack. */
function flatten({ err, ...fields }: Record<string, unknown>): Record<string, unknown> {
  if (typeof err !== 'object' || err === null) return fields;
  const message = 'message' in err ? err.message : undefined;
  return { ...fields, err: message, ...('stack' in err ? { stack: err.stack } : {}) };
}

/** Quoted unless it is a plain word; what would steer a terminal is escaped. */
function formatValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (typeof value !== 'string' || /^[\w@.:/*+-]+$/.test(text)) return text;
  return escapeControls(JSON.stringify(text));
}

function escapeLines(text: string): string {
  return text.split('\n').map(stripVTControlCharacters).map(escapeControls).join('\n');
}

function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
