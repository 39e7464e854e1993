// Loaded into a gateway: SIGUSR2 starts counting the functions that run, another one writes them down.
import { writeFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector';

const file = process.env['PATH_FILE'] ?? '';
const session = new Session();
let isCounting = false;

function startCounting(): void {
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false }, () => {
    isCounting = true;
    writeFileSync(`${file}.started`, '');
  });
}

function writeCounts(): void {
  session.post('Profiler.takePreciseCoverage', (error, counts) => {
    if (error !== null) throw error;
    writeFileSync(file, JSON.stringify(findCalled(counts)));
  });
}

/** The names of the functions that were called, by URL. */
function findCalled({ result }: Profiler.TakePreciseCoverageReturnType): Record<string, string[]> {
  const called: Record<string, string[]> = {};
  for (const { url, functions } of result) {
    const names = functions
      .filter(({ ranges: [range] }) => (range?.count ?? 0) > 0)
      .map(({ functionName }) => functionName || '(anonymous)');
    if (names.length > 0) called[url] = names;
  }
  return called;
}

process.on('SIGUSR2', () => (isCounting ? writeCounts() : startCounting()));
