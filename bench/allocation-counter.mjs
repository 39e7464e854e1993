// Loaded into a gateway with --import: counts what is allocated in V8's heap from one SIGUSR2 to the
// next, and writes the bytes to the file in ALLOCATIONS, followed by the process id.
import { writeFileSync } from 'node:fs';
import { GCProfiler, getHeapStatistics } from 'node:v8';

const { ALLOCATIONS } = process.env;
let profiler;
let usedAtStart = 0;

/** What was added to the heap before each collection, and since the last one. */
function countBytes({ statistics }) {
  let used = usedAtStart;
  let bytes = 0;
  for (const { beforeGC, afterGC } of statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - used;
    used = afterGC.heapStatistics.usedHeapSize;
  }
  return bytes + getHeapStatistics().used_heap_size - used;
}

process.on('SIGUSR2', () => {
  if (profiler === undefined) {
    usedAtStart = getHeapStatistics().used_heap_size;
    profiler = new GCProfiler();
    profiler.start();
    return;
  }
  const bytes = countBytes(profiler.stop());
  profiler = undefined;
  writeFileSync(`${ALLOCATIONS}${process.pid}`, String(bytes));
});
