import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { waitUntil } from './wait.ts';

const mainFile = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));

/** A command of the gateway on a pseudo-terminal, as a person at the terminal sees it. */
export interface Terminal {
  /** Everything shown so far, echo included. */
  readonly screen: () => string;
  /** Waits until this is shown (after what was waited for before), then types. */
  readonly answer: (shown: string, typed: string) => Promise<void>;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Runs a command of the gateway on a pseudo-terminal, with `script` of bsdutils. */
export function openTerminal(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Terminal {
  // `exec`: a shell of the same foreground group would take a typed Ctrl-C as its own end.
  const command = `exec ${[process.execPath, mainFile, ...args].map(quote).join(' ')}`;
  const script = ['script', '--quiet', '--flush', '--return', '--command', command, '/dev/null'];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...script], {
    cwd: options.cwd,
    // `script` runs the shell that SHELL names.
    env: { ...process.env, SHELL: '/bin/sh', TERM: 'xterm', NO_COLOR: '', ...options.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
  });
  child.stdin.on('error', () => undefined);
  return {
    screen: () => screen,
    answer: async (shown, typed) => {
      await waitUntil(() => screen.includes(shown, seen), { label: `"${shown}" in "${screen}"` });
      seen = screen.indexOf(shown, seen) + shown.length;
      child.stdin.write(typed);
    },
    ended: new Promise((resolve) => {
      child.once('close', resolve);
    }),
  };
}
