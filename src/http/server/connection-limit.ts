import { readFileSync } from 'node:fs';

/** Most connections, however many files the process may have open. */
const most = 10_000;

/** Files for the component stream, password checks, and what Node.js itself keeps open. */
const reserved = 256;

/** How many connections the process may have open, so that files are left for all else. */
export function findConnectionLimit(): number {
  return parseConnectionLimit(readLimits());
}

/** The same from the text of `/proc/self/limits`; Node.js has raised the soft limit by itself. */
export function parseConnectionLimit(limits: string): number {
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? most + reserved);
  return Math.min(most, Math.max(Math.floor(files / 2), files - reserved));
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Only Linux has the file.
    return '';
  }
}
