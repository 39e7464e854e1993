import { fork, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const children = new Set();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

function follow(child) {
  children.add(child);
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      children.delete(child);
      resolve(code ?? signal);
    });
  });
  return {
    pid: child.pid,
    exited,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      return exited;
    },
  };
}

/** Starts Node.js with output to an open file; it dies with this process. */
export function startProgram(args, output) {
  const command = ['--pdeathsig', 'KILL', '--', process.execPath, ...args];
  return follow(spawn('setpriv', command, { stdio: ['ignore', output, output] }));
}

/** Starts a file of this folder as a process that exchanges messages with this one. */
export function startPeer(file, env = {}) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = fork(path, { env: { ...process.env, ...env } });
  const waiting = new Set();
  const fail = (reason) => {
    for (const { reject } of waiting) reject(new Error(`${file}: ${reason}`));
  };
  child.on('message', (message) => {
    if (message.event === 'failed') fail(message.reason);
    for (const { event, resolve } of waiting) {
      if (message === event || message.event === event) resolve(message);
    }
  });
  child.once('exit', (code, signal) => fail(`it ended with ${code ?? signal}`));
  return {
    ...follow(child),
    send: (message) => child.send(message),
    /** The next message about an event. */
    waitFor: (event, timeoutMs = 60_000) => {
      let waiter;
      const heard = new Promise((resolve, reject) => {
        waiter = { event, resolve, reject };
        waiter.timer = setTimeout(() => reject(new Error(`${file}: no ${event}`)), timeoutMs);
        waiting.add(waiter);
      });
      return heard.finally(() => {
        clearTimeout(waiter.timer);
        waiting.delete(waiter);
      });
    },
  };
}

/** CPU time that the threads of a process have used so far, in milliseconds. */
export function readCpuMs(pid) {
  const tasks = `/proc/${pid}/task`;
  // Where the kernel keeps it, schedstat counts nanoseconds; stat only counts ticks of 10 ms.
  const nanoseconds = readdirSync(tasks).map((id) => {
    const [onCpu] = readFileSync(`${tasks}/${id}/schedstat`, 'utf8').split(' ');
    return Number(onCpu);
  });
  return nanoseconds.reduce((sum, part) => sum + part, 0) / 1e6;
}

/** Resident set size in megabytes. */
export function readRssMb(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6;
}

const msPerTick = 10;

/** CPU time of the whole machine so far, in milliseconds. */
export function readMachine() {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.split(/ +/).slice(1).map(Number);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { idleMs: idle * msPerTick, allMs: ticks.reduce((a, b) => a + b, 0) * msPerTick };
}
