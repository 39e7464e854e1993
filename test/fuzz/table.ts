import type { FuzzReport } from './fuzz.ts';

const statuses = [200, 207, 400, 401, 403, 404, 405, 413, 415, 422, 500, 502, 503, 504];
const titles = [
  'requests',
  'per s',
  ...statuses.map(String),
  'other',
  'delivered',
  'slowest',
  'failures',
];

function line(name: string, cells: readonly string[]): string {
  const padded = cells.map((cell, index) => cell.padStart(Math.max(6, titles[index]?.length ?? 0)));
  return [name.padEnd(9), ...padded].join(' ');
}

/** The header line. */
export function fuzzHead(): string {
  return line('fuzz', titles);
}

/** The line of one server. */
export function fuzzRow(report: FuzzReport): string {
  const { kind, requests, seconds, delivered, slowestMs, failures } = report;
  const other = [...report.statuses]
    .filter(([status]) => !statuses.includes(status))
    .reduce((sum, [, count]) => sum + count, 0);
  return line(kind, [
    String(requests),
    (requests / seconds).toFixed(0),
    ...statuses.map((status) => String(report.statuses.get(status) ?? 0)),
    String(other),
    String(delivered),
    `${slowestMs.toFixed(0)} ms`,
    String(failures.length),
  ]);
}
