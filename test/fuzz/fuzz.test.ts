import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { servers } from '../support/servers/servers.ts';
import { readCorpus } from './corpus.ts';
import { fuzz } from './fuzz.ts';
import { createRequests } from './requests.ts';

test('the same seed makes the same requests', () => {
  const corpus = readCorpus();
  const [one, same, other] = [1, 1, 2].map((seed) => createRequests(corpus, seed));
  const indices = Array.from({ length: 200 }, (_, index) => index);
  expect(indices.map((index) => one?.(index))).toEqual(indices.map((index) => same?.(index)));
  expect(indices.map((index) => one?.(index))).not.toEqual(indices.map((index) => other?.(index)));
});

test.each(servers)('mutated requests break nothing on $kind', async (program) => {
  const directory = join(tmpdir(), 'xmg-fuzz-failures');
  const report = await fuzz(program, { seed: 1, requests: 2000, seconds: 20, directory });
  expect(report.failures).toEqual([]);
  expect(report.requests).toBe(2000);
  expect(report.delivered).toBeGreaterThan(200);
  expect([...report.statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 404, 422]));
});
