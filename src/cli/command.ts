import { basename, relative } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** The parts of the process that a command uses. */
export interface Surroundings {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
}

/** One command of the command line. */
export interface Command {
  /** The name and its arguments. */
  readonly synopsis: string;
  /** One line about the command, for the overview of all. */
  readonly summary: string;
  /** The text of `--help` below the synopsis. */
  readonly help: string;
  /** Runs the command and resolves with its exit code; throws UsageError. */
  readonly run: (args: readonly string[], surroundings: Surroundings) => Promise<number>;
}

/** Exit codes of sysexits.h: EX_USAGE and EX_CONFIG. */
export const exitUsage = 64;
export const exitConfig = 78;

/** The command line is wrong; the message is a sentence for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;

type Parsed<T extends OptionsConfig> = ReturnType<
  typeof parseArgs<{ args: string[]; allowPositionals: true; options: T; tokens: true }>
>;

/**
 * Parses options and operands; throws UsageError if an option that is not a list is given twice. `hint`
 * is added where an option is unknown.
 */
export function parseOptions<T extends OptionsConfig>(
  args: readonly string[],
  options: T,
  hint?: string,
): Parsed<T> {
  const parsed = parseTokens(args, options, hint);
  const seen = new Set<string>();
  for (const token of parsed.tokens) {
    if (token.kind !== 'option' || options[token.name]?.multiple === true) continue;
    if (seen.has(token.name)) throw new UsageError(`expected --${token.name} once, got it twice`);
    seen.add(token.name);
  }
  return parsed;
}

function parseTokens<T extends OptionsConfig>(
  args: readonly string[],
  options: T,
  hint: string | undefined,
): Parsed<T> {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options, tokens: true });
  } catch (error) {
    const isUnknown =
      error instanceof Error && 'code' in error && error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION';
    if (!isUnknown || hint === undefined) throw error;
    throw new UsageError(`${firstSentence(error.message)}: ${hint}`);
  }
}

/** Cuts Node's hint about arguments that begin with a hyphen: it hardly ever fits the mistake. */
export function firstSentence(message: string): string {
  return message.replace(/\. .*/s, '');
}

/** Returns the value of a required option, such as `--config FILE`; throws UsageError. */
export function requireOption<T>(value: T | undefined, option: string): T {
  if (value === undefined) throw new UsageError(`${option} is missing`);
  return value;
}

/** Returns what `parse` makes of an option; where it throws an expected error, throws UsageError. */
export function parseOption<T>(
  option: string,
  parse: () => T,
  isExpected: (error: unknown) => error is Error,
): T {
  try {
    return parse();
  } catch (error) {
    throw isExpected(error) ? new UsageError(`${option}: ${error.message}`) : error;
  }
}

/** Refuses operands, for a command that takes none; throws UsageError. */
export function refuseOperands(operands: readonly string[]): void {
  if (operands.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(operands[0])}`);
  }
}

/** Whether to colour stdout: on a terminal, unless NO_COLOR is set (https://no-color.org). */
export function wantsColour({ stdout, env }: Pick<Surroundings, 'stdout' | 'env'>): boolean {
  return stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Quotes an argument so that it can be pasted into a shell. */
export function quoteForShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Returns how the program was called, so that the printed commands can be pasted. */
export function programName({ argv }: Pick<Surroundings, 'argv'>): string {
  const [, file = ''] = argv;
  const isBare = basename(file) === 'main.js';
  return isBare ? `node ${quoteForShell(relative('', file))}` : 'xmpp-message-gateway';
}
