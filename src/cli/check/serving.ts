import type { Stats } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { findServiceUser } from './readable.ts';

/**
 * Finds the process that serves a configuration file, whatever it has read from that file; undefined if
 * there is none, or none that this user may look at. Processes of users who could not serve it are left
 * out, because anybody can start a process with these arguments.
 */
export async function findServing(path: string): Promise<number | undefined> {
  const wanted = await stat(path);
  // A pipe is nobody else's file, and a name such as /dev/stdin would be ours in every process.
  if (!wanted.isFile()) return undefined;
  const owners = [0, process.getuid?.(), wanted.uid, findServiceUser(path)?.uid];
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const isServing = await Promise.all(
    processes.map(async (id) => {
      try {
        return owners.includes((await stat(`/proc/${id}`)).uid) && (await serves(id, wanted));
      } catch {
        // The process has ended, or this user may not look at it.
        return false;
      }
    }),
  );
  const index = isServing.indexOf(true);
  return index === -1 ? undefined : Number(processes[index]);
}

/** Whether a process is a gateway with this configuration file. In a container, its name is another file. */
async function serves(id: string, wanted: Stats): Promise<boolean> {
  const args = (await readFile(`/proc/${id}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const program = args.findIndex((arg) => /^(main\.js|xmpp-message-gateway)$/.test(basename(arg)));
  const [command = '', ...others] = args.slice(program + 1);
  // `serve` is the default command.
  const own = command === 'serve' ? others : command.startsWith('-') ? [command, ...others] : [];
  const { config } = parseArgs({
    args: own,
    options: { config: { type: 'string', short: 'c' } },
    strict: false,
  }).values;
  if (program < 1 || typeof config !== 'string' || !(await isOfOurKind(id))) return false;
  const { dev, ino } = await stat(
    `/proc/${id}/${config.startsWith('/') ? 'root' : 'cwd'}/${config}`,
  );
  return dev === wanted.dev && ino === wanted.ino;
}

/**
 * Whether a process runs Node.js and sees the same network. Other programs with these arguments have
 * started the gateway, such as sudo; ports of another network say nothing about ours.
 */
async function isOfOurKind(id: string): Promise<boolean> {
  const program = (await readlink(`/proc/${id}/exe`)).replace(/ \(deleted\)$/, '');
  const networks = [id, 'self'].map((name) => readlink(`/proc/${name}/ns/net`));
  const [its, ours] = await Promise.all(networks);
  return basename(program) === basename(process.execPath) && its === ours;
}

/** Whether all that listens at a port of this machine, whatever its address, belongs to a process. */
export async function holdsPort(id: number, port: number): Promise<boolean> {
  const tables = ['tcp', 'tcp6'].map((name) =>
    readFile(`/proc/net/${name}`, 'utf8').catch(() => ''),
  );
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets = (await Promise.all(tables))
    .flatMap((table) => table.split('\n').map((line) => line.trim().split(/\s+/)))
    // 0A is LISTEN.
    .filter(([, address = '', , state]) => state === '0A' && address.endsWith(end))
    .map((fields) => `socket:[${fields[9]}]`);
  const folder = `/proc/${id}/fd`;
  const files = (await readdir(folder).catch(() => [])).map((name) =>
    readlink(`${folder}/${name}`).catch(() => ''),
  );
  const own = await Promise.all(files);
  return sockets.length > 0 && sockets.every((socket) => own.includes(socket));
}
