// What the measurements of several gateways are made of.
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Starts a file of this folder that is spoken with in messages. */
export function startPeer(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)));
  return {
    pid: child.pid,
    send: (message) => child.send(message),
    /** The next message about an event. */
    waitFor: (event, timeoutMs = 60_000) =>
      new Promise((resolve, reject) => {
        const end = (settle, value) => {
          clearTimeout(timer);
          child.off('message', listen);
          child.off('exit', exit);
          settle(value);
        };
        const listen = (message) => {
          if (message.event === 'failed') end(reject, new Error(`${file}: ${message.reason}`));
          else if (message.event === event) end(resolve, message);
        };
        const exit = () => end(reject, new Error(`${file} ended`));
        const timer = setTimeout(() => end(reject, new Error(`${file}: no ${event}`)), timeoutMs);
        child.on('message', listen);
        child.once('exit', exit);
      }),
    stop: () => child.kill('SIGKILL'),
  };
}

/** CPU time that the threads of a process have used so far, in milliseconds. */
export function readCpuMs(pid) {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((id) => {
    const [onCpu] = readFileSync(`${tasks}/${id}/schedstat`, 'utf8').split(' ');
    return Number(onCpu);
  });
  return sum(nanoseconds) / 1e6;
}

const msPerTick = 10;

/** CPU time of the whole machine so far, in milliseconds. */
export function readMachine() {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.split(/ +/).slice(1, 9).map(Number);
  const idle = ticks[3] + ticks[4];
  return { busyMs: (sum(ticks) - idle) * msPerTick, allMs: sum(ticks) * msPerTick };
}

export function sum(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** Prints rows of cells, the first row a heading, as a table of Markdown. */
export function printTable([heading, ...rows]) {
  const line = heading.map(() => '---');
  for (const cells of [heading, line, ...rows]) console.log(`| ${cells.join(' | ')} |`);
}
