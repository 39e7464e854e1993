import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { attacks } from './attacks.ts';
import { besiege, type SiegeReport } from './siege.ts';

const usage = `usage: npm run siege -- [--seconds N] [--build DIR] [--only TEXT]
  --seconds N   of each attack, 1 to 60; default 20
  --build DIR   the dist directory of another build
  --only TEXT   attacks with TEXT in their names`;

const columns = [
  'fresh',
  'rest',
  'peak',
  'after',
  'alone',
  'beside',
  'worst',
  'ratio',
  'per s',
] as const;

function describe(report: SiegeReport): string {
  const { fresh, rest, peak, after, alone, beside, seen, failures, isAlive } = report;
  const cells = [
    mebibytes(fresh),
    mebibytes(rest),
    mebibytes(peak),
    isAlive ? mebibytes(after) : 'died',
    alone.median.toFixed(1),
    beside.median.toFixed(1),
    beside.worst.toFixed(0),
    (beside.median / alone.median).toFixed(1),
    beside.perSecond.toFixed(0),
  ];
  const numbers = cells.map((cell) => cell.padStart(7)).join(' ');
  return `${numbers}  ${list(seen)}${list(failures) && `; of ordinary messages ${list(failures)}`}`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

function list(sightings: Readonly<Record<string, number>>): string {
  return Object.entries(sightings)
    .map(([what, count]) => `${what}: ${count}`)
    .join(', ');
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    build: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const seconds = Number(values.seconds);
if (!(seconds >= 1 && seconds <= 60)) {
  console.error(usage);
  process.exit(64);
}
const mainFile = values.build === undefined ? undefined : resolve(values.build, 'main.js');
console.log('Memory in MiB: after the first message, at rest after 20,000 messages, at its peak,');
console.log(
  'afterwards. Ordinary messages in ms: median alone, median and worst beside the attack,',
);
console.log('the ratio of the medians, and how many there were in a second. Then the answers that');
console.log('attackers saw.\n');
const width = Math.max(...attacks.map(({ name }) => name.length));
console.log(`${''.padEnd(width)} ${columns.map((name) => name.padStart(7)).join(' ')}`);
for (const attack of attacks) {
  if (!attack.name.includes(values.only)) continue;
  console.log(
    `${attack.name.padEnd(width)} ${describe(await besiege(attack, { seconds, mainFile }))}`,
  );
}
