import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { quoteForShell } from '../command.ts';
import { serviceStateFile } from '../init-answers.ts';
import { isOfService } from '../server-setup.ts';
import { findServiceUser, mayWrite } from './readable.ts';
import type { Finding } from './report.ts';

/**
 * Finds out whether the gateway can write its grants, which it does by creating files in the folder of
 * the state file. `path` is the configuration. Root asks for the `user` of the service; others ask for
 * themselves, unless the configuration is a service's.
 */
export async function checkStateFile(
  stateFile: string | undefined,
  path: string,
  user = findServiceUser(path),
): Promise<readonly Finding[]> {
  if (stateFile === undefined) return [];
  const folder = dirname(stateFile);
  if (!existsSync(folder)) return [describeMissing(folder)];
  const isForOther = user === undefined && (await isOfService(path));
  if (isForOther || (user === undefined ? mayWriteItself(folder) : mayWrite(user, folder))) {
    return [];
  }
  const name = `the user ${user?.name ?? process.getuid?.()}`;
  return [
    {
      isGood: false,
      text: `permissions.state_file: its folder ${folder} cannot be written by ${name}`,
      advice: `Nobody could be granted the permission. Let ${name} write the folder, or choose another file; the unit can write only ${serviceStateFile}.`,
    },
  ];
}

/** systemd creates the folder of the unit when it starts that for the first time. */
function describeMissing(folder: string): Finding {
  const text = `permissions.state_file: its folder ${folder} does not exist`;
  return folder === dirname(serviceStateFile)
    ? { isGood: false, isNeeded: false, text, advice: 'systemd creates it with the service.' }
    : { isGood: false, text, advice: `Create it: mkdir -p ${quoteForShell(folder)}` };
}

function mayWriteItself(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
