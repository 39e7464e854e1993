import { spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
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
  type Surroundings,
  UsageError,
} from './command.ts';
import { serviceStateFile } from './init-answers.ts';

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
  run: (args, surroundings) => runGrantCommand(args, true, surroundings),
};

/** `revoke` */
export const revokeCommand: Command = {
  synopsis: 'revoke JID --config FILE',
  summary: 'revoke a grant',
  help: `Removes the grant from permissions.state_file. A running gateway applies that
within a second. A grant in the configuration can only be revoked there.

  -c, --config FILE  the configuration

Exit codes: 0 revoked, 1 failed, or the user still may send through another grant.
`,
  run: (args, surroundings) => runGrantCommand(args, false, surroundings),
};

function runGrantCommand(
  args: readonly string[],
  isGranted: boolean,
  surroundings: Surroundings,
): Promise<number> {
  const { config, operands } = readArguments(args);
  const [operand, ...others] = operands;
  if (operand === undefined) throw new UsageError('expected a JID or *@domain');
  refuseOperands(others);
  return runGrant(config, operand, isGranted, surroundings);
}

function readArguments(args: readonly string[]): { config: string; operands: readonly string[] } {
  const { values, positionals } = parseOptions(args, { config: { type: 'string', short: 'c' } });
  return { config: requireOption(values.config, '--config FILE'), operands: positionals };
}

/** Prints all grants of the xmppgateway permission; resolves with the exit code. */
async function runPermissions(path: string, output: Surroundings['stdout']): Promise<number> {
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
  { stdout, stderr, env }: Surroundings,
): Promise<number> {
  const config = await loadConfig(path);
  const { pattern, domain } = readPattern(text, config);
  const isFixed = !isGranted && config.permissions.xmppgateway.includes(pattern);
  const fixed = `${pattern} is granted in ${path}, under permissions.xmppgateway: revoke it there`;
  if (isFixed && config.permissions.stateFile === undefined) throw new Error(fixed);
  const grants = await openStateFile(config, path);
  if (isFixed && !grants.current.has(pattern)) throw new Error(fixed);
  const isChanged = await grants.set(pattern, isGranted);
  const fault = logGrant(
    { action: isGranted ? 'grant' : 'revoke', target: pattern, isChanged },
    env,
  );
  if (fault !== undefined) stderr.write(`this is not in the system's log: ${fault}\n`);
  if (isFixed) throw new Error(`${describeGrant(pattern, isGranted, isChanged)}, but ${fixed}`);
  const everybody = `*@${domain}`;
  const isInConfig = config.permissions.xmppgateway.includes(everybody);
  if (!isGranted && pattern !== everybody && (isInConfig || grants.current.has(everybody))) {
    const place = isInConfig ? path : 'permissions.state_file';
    throw new Error(
      `${describeGrant(pattern, isGranted, isChanged)}, but ${pattern} still may send through ${everybody}, which is granted in ${place}`,
    );
  }
  stdout.write(`${describeGrant(pattern, isGranted, isChanged)}\n`);
  return 0;
}

/**
 * Writes who granted or revoked what into the system's log, as a line like those of the gateway: the
 * gateway itself only sees that the file has changed. Returns why that failed, if it did. Where there
 * is no system log at all, as in most containers, `logger` does not call that a failure.
 */
function logGrant(
  { action, target, isChanged }: { action: string; target: string; isChanged: boolean },
  env: Surroundings['env'],
): string | undefined {
  const line = JSON.stringify({
    level: 30,
    time: Date.now(),
    action,
    target,
    changed: isChanged,
    osUser: nameOsUser(),
    sudoUser: env['SUDO_USER'],
    msg: 'permission',
  });
  const args = ['-t', 'xmpp-message-gateway', '-p', 'auth.notice', '--', line];
  const { error, status, stderr } = spawnSync('logger', args, { encoding: 'utf8' });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : stderr.trim();
}

function nameOsUser(): string {
  try {
    return userInfo().username;
  } catch {
    // The system has no name for this user.
    return String(process.getuid?.());
  }
}

function describeGrant(pattern: string, isGranted: boolean, isChanged: boolean): string {
  if (isGranted) return `${pattern} ${isChanged ? 'has' : 'already has'} the permission`;
  return isChanged
    ? `the grant for ${pattern} has been revoked`
    : `there is no grant for ${pattern}`;
}

function readPattern(text: string, { domains }: Config): ReturnType<typeof parsePermission> {
  try {
    const permission = parsePermission(text);
    if (domains.includes(permission.domain)) return permission;
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
  }
  throw new UsageError(
    `expected a bare JID or *@domain in one of the domains (${domains.join(', ')}), got ${quote(text)}`,
  );
}

async function openStateFile({ permissions }: Config, path: string): Promise<Grants> {
  if (permissions.stateFile === undefined) {
    throw new Error(
      `permissions.state_file is missing in ${path}: set it to a file for the grants, such as permissions.json, or for a service ${serviceStateFile}. A running gateway must be restarted to read it`,
    );
  }
  return openGrants(permissions.stateFile);
}

async function readAll(path: string): Promise<string[]> {
  const grants = await openGrants(path);
  return [...grants.current].toSorted();
}
