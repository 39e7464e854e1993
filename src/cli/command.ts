import type { Readable, Writable } from 'node:stream';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a command touches of the process. */
export interface Surroundings {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** As `process.argv`. */
  readonly argv: readonly string[];
}

/** One command of the command line. */
export interface Command {
  /** Its name and what may stand behind it. */
  readonly synopsis: string;
  /** What it does, in a line of the overview. */
  readonly summary: string;
  /** What `--help` says below the synopsis. */
  readonly help: string;
  /** Resolves with the exit code; throws UsageError. */
  readonly run: (args: readonly string[], surroundings: Surroundings) => Promise<number>;
}

/** A command line that cannot be understood; the message is a sentence for who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;

type Parsed<T extends OptionsConfig> = ReturnType<
  typeof parseArgs<{ args: string[]; allowPositionals: true; options: T; tokens: true }>
>;

/** Parses options and operands; throws UsageError where an option that is not a list is given twice. */
export function parseOptions<T extends OptionsConfig>(
  args: readonly string[],
  options: T,
): Parsed<T> {
  const parsed = parseArgs({ args: [...args], allowPositionals: true, options, tokens: true });
  const seen = new Set<string>();
  for (const token of parsed.tokens) {
    if (token.kind !== 'option' || options[token.name]?.multiple === true) continue;
    if (seen.has(token.name)) throw new UsageError(`expected --${token.name} once, got it twice`);
    seen.add(token.name);
  }
  return parsed;
}

/** The value of an option that has to be there, such as `--config FILE`; throws UsageError. */
export function requireOption<T>(value: T | undefined, option: string): T {
  if (value === undefined) throw new UsageError(`${option} is missing`);
  return value;
}

/** Refuses arguments that nobody reads; throws UsageError. */
export function refuseOperands(operands: readonly string[]): void {
  if (operands.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(operands[0])}`);
  }
}

/** Whether to colour what goes to stdout: on a terminal, unless https://no-color.org says no. */
export function wantsColour({ stdout, env }: Pick<Surroundings, 'stdout' | 'env'>): boolean {
  return stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}
