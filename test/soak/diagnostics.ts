import { readdirSync, readFileSync } from 'node:fs';
import type { GatewayProcess } from '../support/gateway/gateway.ts';
import { waitUntil } from '../support/system/wait.ts';

/** The resources that a process holds. */
export interface Holdings {
  /** Used heap after a garbage collection. */
  readonly heapBytes: number;
  readonly timers: number;
  readonly sockets: number;
  /** File descriptors. */
  readonly descriptors: number;
}

// In the process itself, since its timers are not visible from outside.
const onSignal = `process.on('SIGUSR2', () => {
  gc();
  const resources = process.getActiveResourcesInfo();
  const heap = process.memoryUsage().heapUsed;
  console.log(JSON.stringify({ msg: 'holdings', resources, heap }));
})`;

/** Options for Node.js that make the process answer `readHoldings`. */
export const diagnosticArgs: readonly string[] = [
  '--expose-gc',
  `--import=data:text/javascript,${encodeURIComponent(onSignal)}`,
];

/** Resident set size in bytes. */
export function readRss(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Asks a gateway that was started with `diagnosticArgs`. */
export async function readHoldings(gateway: GatewayProcess): Promise<Holdings> {
  const find = () => gateway.logLines().filter(({ msg }) => msg === 'holdings');
  const before = find().length;
  gateway.signal('SIGUSR2');
  const lines = await waitUntil(() => (find().length > before ? find() : undefined), {
    label: 'the holdings of the gateway',
  });
  const { resources, heap } = lines.at(-1) as { resources: string[]; heap: number };
  return {
    heapBytes: heap,
    timers: resources.filter((name) => name === 'Timeout').length,
    sockets: resources.filter((name) => name === 'TCPSocketWrap').length,
    descriptors: readdirSync(`/proc/${gateway.pid}/fd`).length,
  };
}
