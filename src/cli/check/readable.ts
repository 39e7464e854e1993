import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseValues } from '../../config/cross-checks.ts';
import { readText } from '../../config/files.ts';
import { parseConfigSource } from '../../config/yaml.ts';
import { quoteForShell } from '../command.ts';
import type { Finding } from './report.ts';

/** The user of the unit (deploy/sysusers.conf), and the file that it serves. */
const [unitUser, unitFile] = ['xmpp-message-gateway', '/etc/xmpp-message-gateway/gateway.yaml'];

/** A user that a service runs as. */
export interface ServiceUser {
  readonly name: string;
  /** The name of its own group, `gid`. */
  readonly group: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Finds the files of a configuration that root can read, but not the user of the service: the unit would
 * end with exit code 78. Finds nothing for other callers, and where no service is set up. A component
 * secret with a relative name is not tested, because the unit passes it on as a credential.
 */
export async function checkReadable(
  path: string,
  user = findServiceUser(path),
): Promise<readonly Finding[]> {
  if (user === undefined) return [];
  const files = [['', path] as const, ...(await findNamedFiles(path))];
  return files.flatMap(([key, file]) => (mayRead(user, file) ? [] : [describe(key, file, user)]));
}

/**
 * The user of the unit for its own file; for others the only one whose group the folder belongs to.
 * Undefined unless root asks.
 */
export function findServiceUser(path: string): ServiceUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { gid } = statSync(dirname(path));
  const groups = readTable('/etc/group');
  const users = readTable('/etc/passwd').map(([name = '', , uid, own]) => {
    const [group = name] = groups.find(([, , number]) => number === own) ?? [];
    return { name, group, uid: Number(uid), gid: Number(own) };
  });
  const ofUnit =
    resolve(path) === unitFile ? users.find(({ name }) => name === unitUser) : undefined;
  return ofUnit ?? (gid === 0 ? undefined : users.find((user) => user.gid === gid));
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

/** Asks the kernel, which knows of folders, supplementary groups and ACLs; true where that is not possible. */
function mayRead({ uid, gid }: ServiceUser, file: string): boolean {
  const become = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups'];
  const { status } = spawnSync('setpriv', [...become, 'test', '-r', file]);
  return status !== 1 || !existsSync(file);
}

function describe(key: string, file: string, { name, group }: ServiceUser): Finding {
  const quoted = quoteForShell(file);
  return {
    isGood: false,
    text: `${key === '' ? 'configuration' : key}: the user ${name} cannot read ${file}`,
    advice: `The service would not start. Let it read the file (it must be able to enter the folder, too):

  chgrp ${quoteForShell(group)} ${quoted} && chmod 640 ${quoted}`,
  };
}
