import { servers } from '../support/servers/servers.ts';
import { type SoakReport, soak } from './soak.ts';

const options = { warmUp: 20_000, requests: 200_000, concurrency: 64, lines: 500_000 };
const mostGrowth = 0.2;

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function growth({ rss }: SoakReport): number {
  return rss.end / rss.afterWarmUp - 1;
}

function describe(report: SoakReport): readonly (readonly [string, string])[] {
  const { requests, seconds, accepted, refused, acceptedLines, rss, before, after } = report;
  return [
    ['requests', `${requests}, ${options.concurrency} at a time`],
    ['accepted, refused', `${accepted}, ${refused}`],
    ['lines, accepted', `${options.lines}, ${acceptedLines}`],
    ['per second', ((requests + options.lines) / seconds).toFixed(0)],
    ['delivered, lost, twice', `${report.delivered}, ${report.lost}, ${report.twice}`],
    [`RSS after ${options.warmUp}`, mebibytes(rss.afterWarmUp)],
    ['RSS at the end', `${mebibytes(rss.end)} (${(growth(report) * 100).toFixed(1)} %)`],
    ['RSS at its peak', mebibytes(rss.peak)],
    ['heap at rest', `${mebibytes(before.heapBytes)} → ${mebibytes(after.heapBytes)}`],
    ['timers at rest', `${before.timers} → ${after.timers}`],
    ['sockets at rest', `${before.sockets} → ${after.sockets}`],
    ['descriptors at rest', `${before.descriptors} → ${after.descriptors}`],
    ['warnings of Node', String(report.warnings.length)],
  ];
}

function findFaults(report: SoakReport): string[] {
  const { before, after } = report;
  return [
    ...report.unexpected,
    ...(report.acceptedLines < options.lines ? ['lines were not accepted'] : []),
    ...(report.lost > 0 ? ['messages were lost'] : []),
    ...(report.twice > 0 ? ['messages came twice'] : []),
    ...report.warnings,
    ...(growth(report) > mostGrowth ? ['the memory grew'] : []),
    ...(after.timers > before.timers ? ['timers leaked'] : []),
    ...(after.sockets > before.sockets ? ['sockets leaked'] : []),
    ...(after.descriptors > before.descriptors ? ['descriptors leaked'] : []),
  ];
}

let faults = 0;
for (const program of servers) {
  const report = await soak(program, options);
  console.log(`\n${report.kind}`);
  for (const [name, value] of describe(report)) console.log(`  ${name.padEnd(24)} ${value}`);
  for (const fault of findFaults(report)) {
    console.log(`  FAILED: ${fault}`);
    faults += 1;
  }
}
process.exitCode = faults === 0 ? 0 : 1;
