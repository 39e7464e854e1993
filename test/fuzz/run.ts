import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { servers } from '../support/servers/servers.ts';
import { type FuzzReport, fuzz } from './fuzz.ts';
import { replay } from './replay.ts';
import { fuzzHead, fuzzRow } from './table.ts';

const usage =
  'Usage: npm run fuzz [-- --minutes N] [--seed N] [--server NAME] [--module] [--replay FILE]';

interface Arguments {
  /** For all servers together; each gets an equal share. */
  readonly minutes: number;
  readonly seed: number;
  readonly server: string;
  /** With mod_message_gateway. */
  readonly module: boolean;
  readonly replay: string | undefined;
}

function readArguments(): Arguments {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      minutes: text,
      seed: text,
      server: text,
      module: { type: 'boolean', default: false },
      replay: text,
    },
  });
  const minutes = Number(values.minutes ?? 1);
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error(usage);
  const { server = '', module } = values;
  return { minutes, seed, server, module, replay: values.replay };
}

function printFailures({ kind, failures }: FuzzReport): void {
  for (const { reason, file } of failures) {
    console.log(`\nFAILED on ${kind}: ${reason}`);
    if (file !== undefined)
      console.log(`  again: npm run fuzz -- --server ${kind} --replay ${file}`);
  }
}

const options = readArguments();
const chosen = servers
  .filter(({ kind }) => kind.includes(options.server))
  .map((program) => ({ ...program, hasModule: options.module }));
let failed = 0;
if (options.replay === undefined) {
  const { seed } = options;
  const seconds = (options.minutes * 60) / chosen.length;
  const settings = {
    seed,
    seconds,
    requests: Number.POSITIVE_INFINITY,
    directory: 'build/failures',
  };
  console.log(`seed ${seed}, ${seconds} s on each server\n\n${fuzzHead()}`);
  const reports: FuzzReport[] = [];
  for (const program of chosen) {
    const report = await fuzz(program, settings);
    console.log(fuzzRow(report));
    reports.push(report);
    failed += report.failures.length;
  }
  for (const report of reports) printFailures(report);
} else {
  for (const program of chosen) failed += Number(!(await replay(program, options.replay)));
}
process.exitCode = failed === 0 ? 0 : 1;
