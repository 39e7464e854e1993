import type { Writable } from 'node:stream';
import { openGrants } from '../auth/permission-file.ts';
import { type Grants, parsePermission } from '../auth/permissions.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { JidError } from '../core/jid/jid.ts';
import { quote } from '../core/text.ts';
import {
  type Command,
  parseOptions,
  refuseOperands,
  requireOption,
  UsageError,
} from './command.ts';

/** `permissions` */
export const permissionsCommand: Command = {
  synopsis: 'permissions --config FILE',
  summary: 'list the users who have the xmppgateway permission',
  help: `Prints a line for each grant: the bare JID or *@domain, a tab, and where it is granted.

  -c, --config FILE  the configuration
`,
  run: (args, { stdout }) => {
    const { config, operands } = readArguments(args);
    refuseOperands(operands);
    return runPermissions(config, stdout);
  },
};

/** `grant` */
export const grantCommand: Command = {
  synopsis: 'grant JID --config FILE',
  summary: 'grant that permission to a user, or with *@domain to all users of a domain',
  help: `Adds the grant to permissions.state_file. A running gateway applies it within
a second.

  -c, --config FILE  the configuration
`,
  run: (args, { stdout }) => runGrantCommand(args, true, stdout),
};

/** `revoke` */
export const revokeCommand: Command = {
  synopsis: 'revoke JID --config FILE',
  summary: 'revoke a grant',
  help: `Removes the grant from permissions.state_file. A running gateway applies that
within a second. A grant in the configuration can only be revoked there.

  -c, --config FILE  the configuration
`,
  run: (args, { stdout }) => runGrantCommand(args, false, stdout),
};

function runGrantCommand(
  args: readonly string[],
  isGranted: boolean,
  output: Writable,
): Promise<number> {
  const { config, operands } = readArguments(args);
  const [operand, ...others] = operands;
  if (operand === undefined) throw new UsageError('expected a JID or *@domain');
  refuseOperands(others);
  return runGrant(config, operand, isGranted, output);
}

function readArguments(args: readonly string[]): { config: string; operands: readonly string[] } {
  const { values, positionals } = parseOptions(args, { config: { type: 'string', short: 'c' } });
  return { config: requireOption(values.config, '--config FILE'), operands: positionals };
}

/** Prints all grants of the xmppgateway permission; resolves with the exit code. */
async function runPermissions(path: string, output: Writable): Promise<number> {
  const { permissions } = await loadConfig(path);
  const granted = permissions.stateFile === undefined ? [] : await readAll(permissions.stateFile);
  for (const pattern of permissions.xmppgateway) output.write(`${pattern}\tconfiguration\n`);
  for (const pattern of granted) output.write(`${pattern}\tstate file\n`);
  return 0;
}

/**
 * Grants the permission to a bare JID or `*@domain`, or revokes it; resolves with the exit code. A
 * grant in the configuration cannot be revoked here.
 */
async function runGrant(
  path: string,
  text: string,
  isGranted: boolean,
  output: Writable,
): Promise<number> {
  const config = await loadConfig(path);
  const pattern = readPattern(text, config);
  const isFixed = config.permissions.xmppgateway.includes(pattern);
  if (isFixed && !isGranted) {
    throw new Error(
      `${pattern} is granted in ${path}, under permissions.xmppgateway: revoke it there`,
    );
  }
  const grants = await openStateFile(config, path);
  const isChanged = await grants.set(pattern, isGranted);
  output.write(`${describeGrant(pattern, isGranted, isChanged)}\n`);
  return 0;
}

function describeGrant(pattern: string, isGranted: boolean, isChanged: boolean): string {
  if (isGranted) return `${pattern} ${isChanged ? 'has' : 'already has'} the permission`;
  return isChanged
    ? `the grant for ${pattern} has been revoked`
    : `there is no grant for ${pattern}`;
}

function readPattern(text: string, { domains }: Config): string {
  try {
    const { pattern, domain } = parsePermission(text);
    if (domains.includes(domain)) return pattern;
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
  }
  throw new Error(
    `expected a bare JID or *@domain in one of the domains (${domains.join(', ')}), got ${quote(text)}`,
  );
}

async function openStateFile({ permissions }: Config, path: string): Promise<Grants> {
  if (permissions.stateFile === undefined) {
    throw new Error(
      `permissions.state_file is missing in ${path}: set it to a file for the grants, such as permissions.json`,
    );
  }
  return openGrants(permissions.stateFile);
}

async function readAll(path: string): Promise<string[]> {
  const grants = await openGrants(path);
  return [...grants.current].toSorted();
}
