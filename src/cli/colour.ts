import type { Surroundings } from './command.ts';

/** Whether to colour what goes to stdout: on a terminal, unless https://no-color.org says no. */
export function wantsColour({ stdout, env }: Pick<Surroundings, 'stdout' | 'env'>): boolean {
  return stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}
