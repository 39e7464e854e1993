import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { programName, quoteForShell, type Surroundings } from '../command.ts';
import { clearLine, showLine } from '../live-line.ts';
import { describeHolder, findHttpHolder, foreignAdvice } from '../port-holder.ts';

/** How often the gateway is asked, in milliseconds. */
const pollMs = 1000;

/**
 * Waits until the gateway of this configuration is ready, or until something else has its port; resolves
 * with the exit code. On a terminal it shows in one line what it waits for, elsewhere it prints each
 * change.
 */
export async function watchReadiness(
  config: Config,
  path: string,
  surroundings: Pick<Surroundings, 'stdout' | 'argv'>,
): Promise<number> {
  const { stdout } = surroundings;
  const serve = `${programName(surroundings)} serve --config ${quoteForShell(path)}`;
  const startedAt = performance.now();
  const isTerminal = stdout.isTTY === true;
  const end = isTerminal ? () => clearLine(stdout) : () => {};
  const onInterrupt = (): void => {
    end();
    process.kill(process.pid, 'SIGINT');
  };
  process.once('SIGINT', onInterrupt);
  let shown: string | undefined;
  try {
    for (;;) {
      const state = await findState(config, serve);
      const seconds = Math.round((performance.now() - startedAt) / 1000);
      if (state.code !== undefined) {
        end();
        stdout.write(`${state.text}\n`);
        return state.code;
      }
      if (isTerminal) showLine(stdout, `waiting ${seconds} s: ${state.text}`);
      else if (state.text !== shown) stdout.write(`waiting: ${state.text}\n`);
      shown = state.text;
      await sleep(pollMs);
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** What the gateway is doing; with `code` once there is nothing more to wait for. */
async function findState(
  { http }: Config,
  serve: string,
): Promise<{ readonly text: string; readonly code?: number }> {
  const where = `${http.host}:${http.port}`;
  const holder = await findHttpHolder(http);
  if (holder === undefined) {
    return {
      text: `no gateway is running at ${where}; to start it: ${serve}`,
    };
  }
  if (holder.kind === 'foreign') {
    const text = `FAILED HTTP at ${where}: ${describeHolder(holder)}\n       ${foreignAdvice('http', http.port)}`;
    return { text, code: 1 };
  }
  const { state } = holder;
  if (state.status === 'unavailable') return { text: `the gateway is not ready: ${state.reason}` };
  const modes = Object.entries(state.domains).map(
    ([domain, { mode }]) => `${domain}: mode ${mode}`,
  );
  return { text: `ready  ${modes.join(', ')}`, code: 0 };
}
