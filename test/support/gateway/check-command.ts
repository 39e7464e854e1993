import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { checkCommand } from '../../../src/cli/check/check.ts';
import { freePort } from '../system/ports.ts';
import { createDirectory, removeDirectory } from '../system/processes.ts';

/**
 * Runs the `check` command on a configuration, with a free HTTP port unless it names one. It runs in
 * this process, which is many times faster than starting another one.
 */
export async function check(
  config: object,
  ...options: readonly string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const directory = createDirectory('check');
  const file = join(directory, 'gateway.yaml');
  writeFileSync(file, stringify({ http: { port: await freePort() }, ...config }), { mode: 0o600 });
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const printed = Promise.all([text(stdout), text(stderr)]);
  const argv = ['node', 'xmpp-message-gateway'];
  try {
    const surroundings = { stdin, stdout, stderr, env: {}, argv };
    const code = await checkCommand.run(['--config', file, ...options], surroundings);
    stdout.end();
    stderr.end();
    const [out, err] = await printed;
    return { code, stdout: out, stderr: err };
  } finally {
    removeDirectory(directory);
  }
}
