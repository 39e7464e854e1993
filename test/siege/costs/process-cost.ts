import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The resources that a process has used so far. */
export interface Usage {
  readonly cpuMs: number;
  readonly diskBytes: number;
  readonly residentBytes: number;
}

/** proc(5): utime and stime are the 14th and 15th field, in ticks of 10 ms. */
function readTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** CPU time: the first field of schedstat in nanoseconds, or ticks if the kernel does not keep it. */
export function readCpuMs(pid: number): number {
  const folder = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const task of readdirSync(folder)) {
    try {
      nanoseconds += Number(readFileSync(join(folder, task, 'schedstat'), 'utf8').split(' ')[0]);
    } catch {
      // The thread has ended.
    }
  }
  return nanoseconds > 0 ? nanoseconds / 1e6 : readTicks(pid);
}

function readStatus(pid: number, field: string): number {
  const match = new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  );
  return Number(match?.[1] ?? 0) * 1024;
}

function measureFolder(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += measureFolder(path);
    else if (entry.isFile() && !entry.name.endsWith('.log')) bytes += statSync(path).size;
  }
  return bytes;
}

/** CPU time, memory, and the size of its working directory, which has the archives. */
export function readUsage(pid: number): Usage {
  return {
    cpuMs: readCpuMs(pid),
    diskBytes: measureFolder(readlinkSync(`/proc/${pid}/cwd`)),
    residentBytes: readStatus(pid, 'VmRSS'),
  };
}

export function readResidentBytes(pid: number): number {
  return readStatus(pid, 'VmRSS');
}

/** Highest resident size since `forgetPeak`. */
export function readPeakBytes(pid: number): number {
  return readStatus(pid, 'VmHWM');
}

/** proc(5), clear_refs: 5 resets the peak to what is resident now. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
