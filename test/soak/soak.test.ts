import { expect, test } from 'vitest';
import { servers } from '../support/servers/servers.ts';
import { soak } from './soak.ts';

// Too short to say anything about memory, which `npm run soak` does.
test.each(servers)('thousands of requests leave nothing behind on $kind', async (program) => {
  const options = { warmUp: 1000, requests: 3000, concurrency: 64, lines: 1500 };
  const { before, after, ...report } = await soak(program, options);
  expect(report).toMatchObject({ unexpected: [], warnings: [], lost: 0, twice: 0 });
  expect(report.acceptedLines).toBe(1500);
  expect(report.delivered).toBeGreaterThanOrEqual(1500 + 2850);
  expect(after.timers).toBeLessThanOrEqual(before.timers);
  expect(after.sockets).toBeLessThanOrEqual(before.sockets);
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
});
