import { readFileSync } from 'node:fs';
import { type Command, exitConfig, exitUsage, firstSentence, UsageError } from './cli/command.ts';
import { tolerateLostOutput } from './cli/output.ts';
import { ConfigError } from './config/errors.ts';

/** Each is loaded only when it is needed, so that `send` does not wait for everything that `serve` needs. */
const commands = new Map<string, () => Promise<Command>>([
  ['init', async () => (await import('./cli/init.ts')).initCommand],
  ['check', async () => (await import('./cli/check/check.ts')).checkCommand],
  ['serve', async () => (await import('./cli/serve.ts')).serveCommand],
  ['send', async () => (await import('./cli/send/send.ts')).sendCommand],
  ['hash-password', async () => (await import('./cli/hash-password.ts')).hashPasswordCommand],
  ['permissions', async () => (await import('./cli/permissions.ts')).permissionsCommand],
  ['grant', async () => (await import('./cli/permissions.ts')).grantCommand],
  ['revoke', async () => (await import('./cli/permissions.ts')).revokeCommand],
]);

const program = 'xmpp-message-gateway';

/**
 * Runs the command that the arguments name, and resolves with the exit code. It writes to the operator
 * why the command failed; `packageFile` is the package.json with our version.
 */
export function runProgram(args: readonly string[], packageFile: URL): Promise<number> {
  // By default, Node.js opens its inspector, through which other local processes could take this one over.
  process.on('SIGUSR1', () => {});
  tolerateLostOutput(process, program);
  return runCommand(args, packageFile).catch(explain);
}

async function runCommand(args: readonly string[], packageFile: URL): Promise<number> {
  const [first = '', ...others] = args;
  if (first === '--help' || first === '-h') return print(await overview());
  if (first === '--version') return print(`${readVersion(packageFile)}\n`);
  // `serve` is the default command.
  const isNamed = first !== '' && !first.startsWith('-');
  const name = isNamed ? first : 'serve';
  const load = commands.get(name);
  if (load === undefined) {
    return refuse(`unknown command ${JSON.stringify(name)}`, await overview());
  }
  // SIGHUP must not end `serve` while it is loading. It reads its configuration only after that.
  if (name === 'serve') process.on('SIGHUP', () => {});
  const command = await load();
  const own = isNamed ? others : args;
  if (asksForHelp(own)) return print(`${usage(command)}\n${command.help}`);
  try {
    return await command.run(own, process);
  } catch (error) {
    if (!(error instanceof UsageError || isParseArgsError(error))) throw error;
    const more = `\nFor more: ${program} ${name} --help\nAll commands: ${program} --help\n`;
    return refuse(firstSentence(error.message), usage(command) + more);
  }
}

function usage({ synopsis }: Command): string {
  return `Usage:\n  ${program} ${synopsis}\n`;
}

async function overview(): Promise<string> {
  const all = await Promise.all([...commands.values()].map((load) => load()));
  const lines = all.map(({ synopsis, summary }) => `  ${program} ${synopsis}\n      ${summary}\n`);
  return `Usage:
${lines.join('')}
  ${program} COMMAND --help
  ${program} --help | --version

A first configuration: ${program} init

Exit codes: 0 success, 1 failure, 64 wrong usage, 78 faulty configuration; send has more.
`;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function refuse(sentence: string, more: string): number {
  process.stderr.write(`${program}: ${sentence}\n\n${more}`);
  return exitUsage;
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? undefined : end).some((arg) => /^(--help|-h)$/.test(arg));
}

function readVersion(packageFile: URL): string {
  const { version }: { version: string } = JSON.parse(readFileSync(packageFile, 'utf8'));
  return version;
}

/** Tells the operator why the command failed; returns the exit code. */
function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    return exitConfig;
  }
  process.stderr.write(`${program}: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
}

function isParseArgsError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('ERR_PARSE_ARGS')
  );
}
