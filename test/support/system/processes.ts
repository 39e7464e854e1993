import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hangMs } from './wait.ts';

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program to run. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Variables to add to our own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** A file descriptor for stdout; by default stdout is collected. */
  readonly stdout?: number;
}

/** A child process that ends with this one at the latest. */
export interface Child {
  readonly pid: number;
  /** The output on stdout and stderr so far, in order of arrival. */
  readonly output: () => string;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly isRunning: () => boolean;
  /**
   * Sends a signal; does nothing once the process has ended. Returns from SIGSTOP once no thread runs
   * any more.
   */
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Signals and waits for the end; kills the process after `hangMs`. */
  readonly end: (signal?: NodeJS.Signals) => Promise<Exit>;
  readonly exited: Promise<Exit>;
}

const children = new Set<ChildProcess>();
const directories = new Set<string>();

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
}

process.once('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    cleanUp();
    // The signal again, without this handler: vitest forbids process.exit() in its workers.
    process.kill(process.pid, signal);
  });
}
// The parent of this vitest worker was killed.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));

/** Creates a private directory, which is removed when this process ends at the latest. */
export function createDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `xmg-${name}-`));
  directories.add(directory);
  return directory;
}

/** Removes a directory made by `createDirectory`. */
export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  directories.delete(directory);
}

/** Starts a program; rejects when it cannot be started. `input` goes to its stdin. */
export async function startChild(command: Command, input?: string): Promise<Child> {
  // The kernel's death signal works even if this process is killed with SIGKILL.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command.file, ...command.args], {
    cwd: command.cwd,
    env: { ...process.env, ...command.env },
    stdio: [input === undefined ? 'ignore' : 'pipe', command.stdout ?? 'pipe', 'pipe'],
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve).once('error', reject);
  });
  children.add(child);
  const collected = { output: '', stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      collected.output += text;
      collected[name] += text;
    });
  }
  child.stdin?.on('error', () => undefined).end(input);
  return {
    pid: child.pid ?? Number.NaN,
    output: () => collected.output,
    stdout: () => collected.stdout,
    stderr: () => collected.stderr,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    kill: (signal) => {
      const isSent = child.kill(signal);
      if (isSent && signal === 'SIGSTOP' && child.pid !== undefined) waitUntilStopped(child.pid);
    },
    end: (signal = 'SIGTERM') => endChild(child, exited, signal),
    exited,
  };
}

/**
 * Blocks until all threads of a process have stopped. The kernel stops them when the first of them
 * takes the signal, so that on a busy machine the others go on for a while, and may still answer.
 */
function waitUntilStopped(pid: number): void {
  const deadline = performance.now() + hangMs;
  while (readThreadStates(pid).some((state) => !'TZX'.includes(state))) {
    if (performance.now() > deadline) throw new Error(`expected process ${pid} to stop`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
}

/** The letters of proc_pid_stat(5): T is stopped, Z and X are dead. */
function readThreadStates(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((thread) => {
    try {
      const stat = readFileSync(join(tasks, thread, 'stat'), 'utf8');
      return stat.charAt(stat.lastIndexOf(')') + 2);
    } catch {
      // It has ended since the directory was read.
      return 'X';
    }
  });
}

async function endChild(
  child: ChildProcess,
  exited: Promise<Exit>,
  signal: NodeJS.Signals,
): Promise<Exit> {
  child.kill(signal);
  // A stopped process gets signals other than SIGKILL only when it continues.
  child.kill('SIGCONT');
  const deadline = setTimeout(() => child.kill('SIGKILL'), hangMs);
  try {
    return await exited;
  } finally {
    clearTimeout(deadline);
  }
}

/** Runs a program to its end. */
export async function runChild(
  command: Command,
  input?: string,
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const child = await startChild(command, input);
  const exit = await child.exited;
  return { ...exit, stdout: child.stdout(), stderr: child.stderr() };
}

/** Runs a program to its end; throws with its output unless the exit code is 0. */
export async function runToSuccess(command: Command): Promise<string> {
  const { code, signal, stdout, stderr } = await runChild(command);
  if (code !== 0) {
    const line = [command.file, ...command.args].join(' ');
    throw new Error(`expected exit code 0 of ${line}, got ${code ?? signal}:\n${stdout}${stderr}`);
  }
  return stdout;
}
