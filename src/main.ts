#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runCheck } from './commands/check.ts';
import { runHashPassword } from './commands/hash-password.ts';
import { runGrant, runPermissions } from './commands/permissions.ts';
import { runServe } from './commands/serve.ts';
import { ConfigError } from './config.ts';

const usage = `Usage:
  xmpp-message-gateway [serve] --config FILE   run the gateway
  xmpp-message-gateway check --config FILE     say what is wrong and how to mend it
  xmpp-message-gateway hash-password           make a password_hash from a password
  xmpp-message-gateway permissions --config FILE   list who has the xmppgateway permission
  xmpp-message-gateway grant JID --config FILE     grant it to a user, or to *@domain
  xmpp-message-gateway revoke JID --config FILE    revoke such a grant
  xmpp-message-gateway --help | --version

Exit codes: 0 all right, 1 failed, 64 wrong usage, 78 faulty configuration.
`;

/** Exit codes of sysexits.h. */
const exitUsage = 64;
const exitConfig = 78;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (values.version) {
    process.stdout.write(`${readVersion()}\n`);
    return 0;
  }
  const [command = 'serve', ...rest] = positionals;
  const operand = command === 'grant' || command === 'revoke' ? rest.shift() : undefined;
  if (rest.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(rest[0])}`);
  }
  switch (command) {
    case 'serve':
      return await runServe(requireConfig(values.config));
    case 'check':
      return await runCheck(requireConfig(values.config), process.stdout);
    case 'hash-password':
      return await runHashPassword(process);
    case 'permissions':
      return await runPermissions(requireConfig(values.config), process.stdout);
    case 'grant':
    case 'revoke':
      if (operand === undefined) throw new UsageError('expected a JID or *@domain');
      return await runGrant(
        requireConfig(values.config),
        operand,
        command === 'grant',
        process.stdout,
      );
    default:
      throw new UsageError(`unknown command ${JSON.stringify(command)}`);
  }
}

class UsageError extends Error {}

function requireConfig(path: string | undefined): string {
  if (path === undefined) {
    throw new UsageError('--config FILE is missing');
  }
  return path;
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version }: { version: string } = JSON.parse(text);
  return version;
}

/** Tells the operator why the process cannot go on. */
function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    return exitConfig;
  }
  if (error instanceof UsageError || isParseArgsError(error)) {
    process.stderr.write(`xmpp-message-gateway: ${firstSentence(error.message)}\n\n${usage}`);
    return exitUsage;
  }
  process.stderr.write(
    `xmpp-message-gateway: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  return 1;
}

/** Behind it Node.js explains how to pass what begins with a hyphen, which nobody means here. */
function firstSentence(message: string): string {
  return message.replace(/\. .*/s, '');
}

function isParseArgsError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('ERR_PARSE_ARGS')
  );
}

process.exitCode = await main().catch(explain);
