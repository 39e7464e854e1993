import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../system/ports.ts';
import { createDirectory, removeDirectory } from '../system/processes.ts';
import { runCommand } from './gateway.ts';

/** Runs the `check` command on a configuration, with a free HTTP port unless it names one. */
export async function check(
  config: object,
  ...options: readonly string[]
): ReturnType<typeof runCommand> {
  const directory = createDirectory('check');
  const file = join(directory, 'gateway.yaml');
  writeFileSync(file, stringify({ http: { port: await freePort() }, ...config }), { mode: 0o600 });
  try {
    return await runCommand(['check', '--config', file, ...options]);
  } finally {
    removeDirectory(directory);
  }
}
