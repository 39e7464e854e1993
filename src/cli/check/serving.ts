import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * Finds the process that serves a configuration file, whatever it has read from that file; undefined if
 * there is none, or none that this user may see.
 */
export async function findServing(path: string): Promise<number | undefined> {
  const wanted = await realpath(path);
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const served = await Promise.all(processes.map(findServedFile));
  const index = served.indexOf(wanted);
  return index === -1 ? undefined : Number(processes[index]);
}

/** The configuration file of a process that is a gateway. */
async function findServedFile(process: string): Promise<string | undefined> {
  try {
    const [, ...args] = (await readFile(`/proc/${process}/cmdline`, 'utf8')).split('\0');
    const command = args.indexOf('serve');
    if (command === -1) return undefined;
    const { config } = parseArgs({
      args: args.slice(command + 1).filter((arg) => arg !== ''),
      options: { config: { type: 'string', short: 'c' } },
      strict: false,
    }).values;
    if (typeof config !== 'string') return undefined;
    const isAbsolute = config.startsWith('/');
    return await realpath(
      isAbsolute ? config : resolve(await readlink(`/proc/${process}/cwd`), config),
    );
  } catch {
    // The process has ended, or this user may not look at it.
    return undefined;
  }
}
