import { contenders } from './contenders.mjs';
import { spread } from './samples.mjs';

/** Makes one point, of medians and extremes, of the same measurement in all rounds. */
export function mergeRounds(samples) {
  const groups = new Map();
  for (const sample of samples) {
    const key = keyOf(sample);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].map(mergeGroup);
}

function keyOf({ name, bytes, connections }) {
  return `${name} ${bytes} ${connections}`;
}

function mergeGroup(group) {
  const [{ name, bytes, connections, cpu }] = group;
  const of = (read) => spread(group.map(read));
  const sum = (read) => group.reduce((total, sample) => total + read(sample), 0);
  return {
    name,
    bytes,
    connections,
    perSecond: of((sample) => sample.perSecond),
    rounds: group.map((sample) => sample.perSecond),
    cpuRounds: group.map((sample) => sample.cpu.own),
    p50: of((sample) => sample.p50),
    p99: of((sample) => sample.p99),
    cpu: Object.fromEntries(
      Object.keys(cpu).map((part) => [part, of((sample) => sample.cpu[part])?.median]),
    ),
    others: of((sample) => sample.others)?.median,
    refused: sum((sample) => sample.refused),
    lost: sum((sample) => sample.lost),
    duplicates: sum((sample) => sample.duplicates),
  };
}

function round(value, digits = 0) {
  return value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits);
}

/** Rows of cells, the first row above a line; the first column to the left, the others to the right. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => '-'.repeat(width + (column === 0 ? 2 : 1)) + (column === 0 ? '' : ':')).join('|')}|`;
  console.log([line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n'));
}

/** Prints what was measured on one server. */
export function printServer({ kind, points, startMs, loadedMb, rssMb }) {
  console.log(`\n${kind}: median of the rounds (least–most); CPU in µs per delivered message\n`);
  const head = ['', 'size', 'conn.', 'delivered/s', 'p50 ms', 'p99 ms'];
  const columns = ['own CPU', 'server', 'load', 'receiver', 'others', 'refused', 'lost', 'twice'];
  printTable([[...head, ...columns], ...points.map(rowOf)]);
  console.log(
    `\ngateway: ready after ${round(startMs)} ms, RSS ${round(loadedMb)} MB at the end of the load, ${round(rssMb)} MB 60 s later`,
  );
}

function rowOf(point) {
  const { perSecond, p50, p99, cpu } = point;
  return [
    contenders[point.name].title,
    point.bytes === 100 ? '100 B' : '10 kB',
    contenders[point.name].line === undefined ? String(point.connections) : '1',
    `${round(perSecond?.median)} (${round(perSecond?.min)}–${round(perSecond?.max)})`,
    round(p50?.median, 2),
    round(p99?.median, 2),
    point.name === 'ceiling' ? '–' : round(cpu.own),
    round(cpu.server),
    round(cpu.load),
    round(cpu.receiver),
    `${round(point.others * 100)} %`,
    String(point.refused),
    String(point.lost),
    String(point.duplicates),
  ];
}

function rowOfLatencies(title, { p50, p99 }) {
  return [
    title,
    round(p50.median, 2),
    `${round(p99.median, 2)} (${round(p99.min, 2)}–${round(p99.max, 2)})`,
  ];
}

/** Prints the latencies of a quiet caller, alone and beside one who floods. */
export function printFairness({ flooders, alone, beside, flood, besideBulk, refused }) {
  console.log(`\na quiet caller, beside one who floods from ${flooders} connections (ms)\n`);
  printTable([
    ['', 'p50', 'p99'],
    rowOfLatencies('quiet caller, alone', alone),
    rowOfLatencies('quiet caller, beside it', beside),
    rowOfLatencies('the flood', flood),
    rowOfLatencies('quiet caller, beside many messages in one request', besideBulk),
  ]);
  console.log(`\nrefused to the quiet caller: ${refused}`);
}

/** Prints what a message costs as messages and connections grow in number. */
export function printGrowth(rows) {
  console.log('\ngrowth: CPU in µs per message\n');
  printTable([
    ['', 'gateway', 'server', 'delivered/s', 'RSS MB', 'others'],
    ...rows.map(({ what, perSecond, cpu, rssMb, others }) => [
      what,
      round(cpu.own),
      round(cpu.server),
      round(perSecond),
      round(rssMb),
      `${round(others * 100)} %`,
    ]),
  ]);
}

/** Prints what a message allocates, by contender. */
export function printAllocations(kilobytes) {
  console.log('\nallocated for a message of 100 bytes\n');
  printTable([
    ['', 'kB'],
    ...Object.entries(kilobytes).map(([name, kB]) => [contenders[name].title, round(kB, 1)]),
  ]);
}

/** Prints the goals, and how far they are reached. */
export function printGoals(goals) {
  if (goals.length === 0) return;
  console.log('\ngoals\n');
  printTable([
    ['', 'server', 'goal', 'measured', ''],
    ...goals.map(({ title, kind, goal, measured, isReached, unit = '' }) => [
      title,
      kind,
      `${goal}${unit}`,
      `${measured.toFixed(measured >= 20 ? 0 : 2)}${unit}`,
      isReached ? 'reached' : 'missed',
    ]),
  ]);
}
