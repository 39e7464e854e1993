// npm run bench: what the gateway costs, beside the server's own ceiling and other ways to send.
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { measureAllocations } from './allocations.mjs';
import { drawChart } from './chart.mjs';
import { contenders } from './contenders.mjs';
import { measureFairness } from './fairness.mjs';
import { judge } from './goals.mjs';
import { measureGrowth } from './growth.mjs';
import { measureLogins } from './logins.mjs';
import { measure } from './measure.mjs';
import { readRssMb } from './processes.mjs';
import {
  mergeRounds,
  printAllocations,
  printFairness,
  printGoals,
  printGrowth,
  printServer,
} from './report.mjs';
import { startSite } from './site.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    server: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string' },
    connections: { type: 'string' },
    against: { type: 'string' },
    profile: { type: 'string' },
  },
});

const kinds = ['prosody', 'ejabberd'].filter((kind) => (options.server ?? kind) === kind);
const only = options.only?.split(',');
const rounds = Number(options.rounds ?? (options.quick ? 2 : 4));
const ms = options.quick ? 700 : 1000;
/** V8 takes its time to compile what it runs often. */
const warmUpMs = options.quick ? 2000 : 3000;
const restMs = 60_000;
/**
 * No round begins after this time, so that even a slow machine finishes within 10 minutes; unless somebody
 * asks for a number of rounds.
 */
const lastRoundMs = options.rounds === undefined ? 7 * 60_000 : Number.POSITIVE_INFINITY;
/** Only a complete run replaces the results in docs/. */
const isWhole = !options.quick && only === undefined && options.connections === undefined;
const isForDocs = isWhole && kinds.length === 2;
const small = 100;
const large = 10_000;
const startedAt = performance.now();

const chosen = options.connections?.split(',').map(Number);
const ofSmall = chosen ?? (options.quick ? [1, 64] : [1, 8, 64, 256]);
const smallCases = ofSmall.map((count) => ({ bytes: small, connections: count }));
const largeCases = [{ bytes: large, connections: chosen?.[0] ?? 64 }];
/** Prosody cannot be set up well for small and for large messages at once. */
const parts = {
  prosody: [{ cases: smallCases }, { cases: largeCases, readSize: 65_536 }],
  ejabberd: [{ cases: [...smallCases, ...largeCases] }],
};

/** The contenders that also send large messages. */
const withLarge = new Set(['ceiling', 'api', 'bulk', 'before', 'bulkBefore', 'naive']);

function takesPart(name, kind, { bytes, connections }) {
  const { needs } = contenders[name];
  const isHere = needs === undefined || needs === kind || options[needs] !== undefined;
  const isWanted = only === undefined || only.includes(name);
  if (!isHere || !isWanted) return false;
  // With more connections its answers take several seconds.
  if (name === 'ejabberdBasic' && connections > 64) return false;
  if (contenders[name].line !== undefined && connections !== 64) return false;
  return bytes === small || withLarge.has(name);
}

async function warmUp(site, names) {
  for (const name of names) {
    await measure(site, name, { bytes: small, connections: 64, ms: warmUpMs });
  }
}

/** The contenders take turns, each round in another order, so that noise meets all of them. */
async function runRounds(site, cases, names) {
  const samples = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round > 0 && performance.now() - startedAt > lastRoundMs) break;
    for (const point of cases) {
      const part = names.filter((name) => takesPart(name, site.kind, point));
      const turn = round % Math.max(1, part.length);
      for (const name of [...part.slice(turn), ...part.slice(0, turn)]) {
        samples.push({ ...point, name, ...(await measure(site, name, { ...point, ms })) });
      }
    }
    process.stderr.write(`${site.kind}: round ${round + 1} of ${rounds}\n`);
  }
  return samples;
}

async function runServer(kind) {
  const results = [];
  for (const part of parts[kind]) results.push(await runPart(kind, part));
  const points = results.flatMap((result) => result.points);
  // Apart from the gateway, nothing in it depends on the server.
  const allocated = isWhole && kind === kinds[0] ? await measureAllocations(kind) : undefined;
  return { ...results[0], points, allocated };
}

async function runPart(kind, { cases, readSize }) {
  const nodeArgs =
    options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`];
  const site = await startSite(kind, { nodeArgs, against: options.against, readSize });
  try {
    const names = Object.keys(contenders).filter((name) =>
      cases.some((point) => takesPart(name, kind, point)),
    );
    await warmUp(site, names);
    const samples = await runRounds(site, cases, names);
    const points = mergeRounds(samples);
    if (isOnlyLarge(cases)) return { points };
    const loadedMb = readRssMb(site.gateway.pid);
    const { startMs } = site.gateway;
    const more = isWhole ? await measureMore(site) : {};
    // By then V8 has noticed that nothing happens, and has collected its garbage.
    await sleep(restMs);
    const rssMb = readRssMb(site.gateway.pid);
    return { kind, startMs, loadedMb, rssMb, points, ...more };
  } finally {
    await site.stop();
  }
}

function isOnlyLarge(cases) {
  return cases.every(({ bytes }) => bytes === large);
}

async function measureMore(site) {
  const fairness = await measureFairness(site);
  const growth = await measureGrowth(site);
  const logins = await measureLogins(site);
  return { fairness, growth, logins };
}

const results = [];
for (const kind of kinds) {
  const result = await runServer(kind);
  results.push(result);
  printServer(result);
  if (result.fairness) printFairness(result.fairness);
  if (result.growth) printGrowth(result.growth);
  if (result.allocated) printAllocations(result.allocated);
}
const goals = judge(results);
printGoals(goals);
console.log(`\n${Math.round((performance.now() - startedAt) / 1000)} s in all`);

const directory = isForDocs ? 'docs' : 'build';
mkdirSync(directory, { recursive: true });
writeFileSync(`${directory}/bench.json`, `${JSON.stringify({ results, goals }, null, 2)}\n`);
if (kinds.length === 2) writeFileSync(`${directory}/bench.svg`, drawChart(results));
