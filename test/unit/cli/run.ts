import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Command, Surroundings } from '../../../src/cli/command.ts';

/** Runs a command, by default without input and with an empty environment. */
export async function run(
  command: Command,
  args: readonly string[],
  given: { readonly input?: string | Uint8Array } & Partial<
    Pick<Surroundings, 'argv' | 'env'>
  > = {},
): Promise<{ code: number; out: string; err: string }> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end(given.input);
  const code = await command.run(args, { stdin, stdout, stderr, env: {}, argv: [], ...given });
  stdout.end();
  stderr.end();
  return { code, out: await text(stdout), err: await text(stderr) };
}
