import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { programName, quoteForShell, type Surroundings } from '../command.ts';
import { clearLine, showLine } from '../live-line.ts';
import { describeHolder, findHttpHolder, foreignAdvice } from '../port-holder.ts';
import { isOfService } from '../server-setup.ts';
import { findServing, holdsPort } from './serving.ts';

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
  const start = (await isOfService(path))
    ? 'systemctl start xmpp-message-gateway\nIts log: journalctl -u xmpp-message-gateway'
    : `${programName(surroundings)} serve --config ${quoteForShell(path)}`;
  const startedAt = performance.now();
  const isTerminal = stdout.isTTY === true;
  const end = isTerminal ? () => clearLine(stdout) : () => {};
  const onInterrupt = (): void => {
    end();
    process.kill(process.pid, 'SIGINT');
  };
  process.once('SIGINT', onInterrupt);
  let shown: string | undefined;
  let hasAdvised = false;
  try {
    for (;;) {
      const state = await findState(config, path);
      const seconds = Math.round((performance.now() - startedAt) / 1000);
      if (state.code !== undefined) {
        end();
        stdout.write(`${state.text}\n`);
        return state.code;
      }
      if (state.isAbsent === true && !hasAdvised) {
        // Above the line that changes: that is cut to the width of the terminal.
        end();
        stdout.write(`To start the gateway: ${start}\n`);
        hasAdvised = true;
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

interface State {
  readonly text: string;
  /** Whether it has to be started. */
  readonly isAbsent?: boolean;
  /** The exit code, once there is nothing more to wait for. */
  readonly code?: number;
}

/** Asks what the gateway is doing. */
async function findState({ http }: Config, path: string): Promise<State> {
  const where = `${http.host}:${http.port}`;
  const holder = await findHttpHolder(http);
  if (holder === undefined) {
    return { text: `no gateway is running at ${where}`, isAbsent: true };
  }
  if (holder.kind === 'foreign') {
    const serving = await findServing(path);
    if (serving !== undefined && (await holdsPort(serving, http.port))) {
      return { text: `the gateway (process ${serving}) has ${where}, but ${holder.answer}` };
    }
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
