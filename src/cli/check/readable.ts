import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseValues } from '../../config/cross-checks.ts';
import { readText } from '../../config/files.ts';
import { parseConfigSource } from '../../config/yaml.ts';
import { quoteForShell } from '../command.ts';
import type { Finding } from './report.ts';

/** The user of the unit (deploy/sysusers.conf), and the file that it serves. */
const [unitUser, unitFile] = ['xmpp-message-gateway', '/etc/xmpp-message-gateway/gateway.yaml'];

/** What the unit hides from its process (ProtectHome, PrivateTmp), whatever the rights are. */
const hidden = /^\/(home|root|run\/user|tmp|var\/tmp)\//;

/** A user that a service runs as. */
export interface ServiceUser {
  readonly name: string;
  /** The name of its own group, `gid`. */
  readonly group: string;
  readonly uid: number;
  readonly gid: number;
  /** Whether the service is the unit, which hides folders from it. */
  readonly isOfUnit: boolean;
}

/**
 * Finds the files of a configuration that root can read, but not the user of the service: the unit would
 * end with exit code 78. Finds nothing for other callers, where no service is set up, and where
 * `setpriv` cannot become its user. A component secret with a relative name is not tested, because the
 * unit passes it on as a credential.
 */
export async function checkReadable(
  name: string,
  user = findServiceUser(name),
): Promise<readonly Finding[]> {
  if (user === undefined || runAs(user, 'true') !== 0) return [];
  const path = resolve(name);
  const files = [['', path] as const, ...(await findNamedFiles(path))];
  return files.flatMap(([key, file]) => {
    if (key !== '' && user.isOfUnit && hidden.test(file)) {
      const text = `${key}: the unit hides ${file} from the gateway`;
      return [{ isGood: false, text, advice: adviseCopy(key, file, path, user) }];
    }
    return mayRead(user, file) ? [] : [describe(key, file, path, user)];
  });
}

/**
 * The user of the unit for its own file; for others the only one whose group the folder belongs to.
 * Undefined unless root asks.
 */
export function findServiceUser(path: string): ServiceUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const groups = readTable('/etc/group');
  const isOfUnit = resolve(path) === unitFile;
  const users = readTable('/etc/passwd').map(([name = '', , uid, own]) => {
    const [group = name] = groups.find(([, , number]) => number === own) ?? [];
    return { name, group, uid: Number(uid), gid: Number(own), isOfUnit: false };
  });
  const ofUnit = isOfUnit ? users.find(({ name }) => name === unitUser) : undefined;
  if (ofUnit !== undefined) return { ...ofUnit, isOfUnit };
  const { gid } = statSync(dirname(resolve(path)));
  const [user, ...others] = gid === 0 ? [] : users.filter((one) => one.gid === gid);
  return others.length === 0 ? user : undefined;
}

function readTable(file: string): readonly string[][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
}

/** The keys that name files, with their absolute names. */
async function findNamedFiles(path: string): Promise<readonly (readonly [string, string])[]> {
  const { usable } = parseValues(parseConfigSource(await readText(path)).value);
  const { component, c2s, http, store_tls: store, templates = {} } = usable;
  const secret = component?.secret_file;
  const named = {
    'component.secret_file': secret?.startsWith('/') === true ? secret : undefined,
    'c2s.ca_file': c2s?.ca_file,
    'http.tls.cert_file': http?.tls?.cert_file,
    'http.tls.key_file': http?.tls?.key_file,
    'store_tls.ca_file': store?.ca_file,
    'store_tls.cert_file': store?.cert_file,
    'store_tls.key_file': store?.key_file,
    ...Object.fromEntries(
      Object.entries(templates).map(([name, file]) => [`templates.${name}`, file]),
    ),
  };
  return Object.entries(named).flatMap(([key, name]) =>
    name === undefined ? [] : [[key, resolve(dirname(path), name)] as const],
  );
}

/** Asks the kernel, which knows of folders, supplementary groups and ACLs. */
function mayRead(user: ServiceUser, file: string): boolean {
  return runAs(user, 'test', '-r', file) !== 1 || !existsSync(file);
}

/** Whether a user can create files in a folder, as far as the kernel can be asked. */
export function mayWrite(user: ServiceUser, folder: string): boolean {
  return runAs(user, 'test', '-w', folder) !== 1 || runAs(user, 'true') !== 0;
}

/** The exit code of a command that another user runs; null if there is no `setpriv`. */
function runAs({ uid, gid }: ServiceUser, ...command: readonly string[]): number | null {
  const become = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups'];
  return spawnSync('setpriv', [...become, ...command]).status;
}

function describe(key: string, file: string, config: string, user: ServiceUser): Finding {
  const text = `${key === '' ? 'configuration' : key}: the user ${user.name} cannot read ${file}`;
  const isOwn = key === '' || realpathSync(file).startsWith(`${realpathSync(dirname(config))}/`);
  const advice = isOwn ? adviseGroup(file, user) : adviseCopy(key, file, config, user);
  return { isGood: false, text, advice };
}

function adviseGroup(file: string, { group }: ServiceUser): string {
  const quoted = quoteForShell(file);
  return `The service would not start. Let it read the file (it must be able to enter the folder, too):

  chgrp ${quoteForShell(group)} ${quoted} && chmod 640 ${quoted}`;
}

/** Another group would take the file from the programs that it belongs to. */
function adviseCopy(key: string, file: string, config: string, { group }: ServiceUser): string {
  return `The service would not start. Give it a copy, and name that in ${key}. The deploy hook of a certificate
has to renew the copy:

  install -m 640 -g ${quoteForShell(group)} ${quoteForShell(file)} ${quoteForShell(`${dirname(config)}/`)}`;
}
