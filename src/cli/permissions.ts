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
  summary: 'list who has the xmppgateway permission',
  help: `Prints a line for each: the bare JID or *@domain, a tab, and where it is granted.

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
  summary: 'grant it to a user, or to *@domain',
  help: `Keeps the grant in permissions.state_file; a running gateway notices.

  -c, --config FILE  the configuration
`,
  run: (args, { stdout }) => runGrantCommand(args, true, stdout),
};

/** `revoke` */
export const revokeCommand: Command = {
  synopsis: 'revoke JID --config FILE',
  summary: 'revoke such a grant',
  help: `Takes the grant out of permissions.state_file; a running gateway notices.
What the configuration grants is revoked there only.

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

/** Prints who has the xmppgateway permission, and where it is granted. Returns the exit code. */
async function runPermissions(path: string, output: Writable): Promise<number> {
  const { permissions } = await loadConfig(path);
  const granted = permissions.stateFile === undefined ? [] : await readAll(permissions.stateFile);
  for (const pattern of permissions.xmppgateway) output.write(`${pattern}\tconfiguration\n`);
  for (const pattern of granted) output.write(`${pattern}\tstate file\n`);
  return 0;
}

/**
 * Grants the permission to a bare JID or `*@domain`, or revokes it; a running gateway notices by
 * itself. Returns the exit code, 1 when the permission stands in the configuration.
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
  const grants = await openStateFile(config);
  const isChanged = await grants.set(pattern, isGranted);
  const state = isGranted ? 'has the permission' : 'has no permission of its own';
  output.write(`${pattern} ${state}${isChanged ? '' : ', as before'}\n`);
  return 0;
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

async function openStateFile({ permissions }: Config): Promise<Grants> {
  if (permissions.stateFile === undefined) {
    throw new Error('the configuration has no permissions.state_file to keep grants in');
  }
  return openGrants(permissions.stateFile);
}

async function readAll(path: string): Promise<string[]> {
  const grants = await openGrants(path);
  return [...grants.current].toSorted();
}
