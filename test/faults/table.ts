import type { Verdict } from './verdict.ts';

const columns: readonly { readonly title: string; readonly cell: (it: Verdict) => string }[] = [
  { title: 'posted', cell: ({ posted }) => String(posted) },
  { title: 'acknowledged', cell: ({ acknowledged }) => String(acknowledged) },
  { title: 'delivered', cell: ({ delivered }) => String(delivered) },
  { title: 'lost', cell: ({ lost }) => String(lost) },
  { title: 'twice', cell: ({ twice }) => String(twice) },
  { title: '503', cell: ({ unavailable }) => String(unavailable) },
  { title: '504', cell: ({ unknown }) => String(unknown) },
  { title: '429', cell: ({ throttled }) => String(throttled) },
  { title: 'answer', cell: ({ longestAnswerMs }) => seconds(longestAnswerMs) },
  { title: 'ready', cell: ({ readyMs }) => seconds(readyMs) },
];

const nameWidth = 46;

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${(ms / 1000).toFixed(2)} s`;
}

function line(name: string, cells: readonly string[]): string {
  const padded = cells.map((cell, index) => cell.padStart(columns[index]?.title.length ?? 0));
  return [name.padEnd(nameWidth), ...padded.map((cell) => cell.padStart(7))].join(' ');
}

/** The header line. */
export function tableHead(title: string): string {
  return line(
    title,
    columns.map((column) => column.title),
  );
}

/** The line of a scenario. */
export function tableRow(name: string, verdict: Verdict): string {
  return line(
    name,
    columns.map((column) => column.cell(verdict)),
  );
}
