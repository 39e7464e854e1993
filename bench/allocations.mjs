import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createDirectory, removeDirectory } from '../build/support/system/processes.js';
import { waitUntil } from '../build/support/system/wait.js';
import { contenders } from './contenders.mjs';
import { measure } from './measure.mjs';
import { readDelivered, startSite } from './site.mjs';

const counter = new URL('allocation-counter.mjs', import.meta.url).href;
const point = { bytes: 100, connections: 64, count: 4000 };
/** By then V8 has compiled what runs often: compiled code allocates less. */
const warmUpCount = 12_000;

/**
 * How many kB a message of 100 bytes allocates in V8's heap, by contender. Each is measured in a
 * separate gateway, because counting takes time.
 */
export async function measureAllocations(kind) {
  const directory = createDirectory('bench-allocations');
  process.env.NODE_OPTIONS = `--import ${counter}`;
  process.env.ALLOCATIONS = join(directory, 'bytes-');
  const site = await startSite(kind).finally(() => {
    delete process.env.NODE_OPTIONS;
    delete process.env.ALLOCATIONS;
  });
  try {
    const kilobytes = {};
    for (const name of ['api', 'bulk', 'naive']) {
      await measure(site, name, { ...point, count: warmUpCount });
      kilobytes[name] = await countIn(site, name, join(directory, 'bytes-'));
    }
    return kilobytes;
  } finally {
    await site.stop();
    removeDirectory(directory);
  }
}

async function countIn(site, name, prefix) {
  const { pid } = contenders[name].target(site);
  const before = await readDelivered(site);
  process.kill(pid, 'SIGUSR2');
  await measure(site, name, point);
  process.kill(pid, 'SIGUSR2');
  const file = `${prefix}${pid}`;
  const text = await waitUntil(() => existsSync(file) && readFileSync(file, 'utf8'), {
    label: `the bytes that ${name} has allocated`,
  });
  // The same gateway may write it again.
  rmSync(file);
  const { delivered } = await readDelivered(site);
  return Number(text) / 1024 / (delivered - before.delivered);
}
