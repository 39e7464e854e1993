import { parseArgs } from 'node:util';
import { crashScenarios } from './crash-scenarios.ts';
import { loginScenarios } from './login-scenarios.ts';
import { type Program, programs } from './programs.ts';
import { play, type Scenario, whyForgotten } from './scenario.ts';
import { serverScenarios } from './server-scenarios.ts';
import { type Stage, startStage } from './stage.ts';
import { streamScenarios } from './stream-scenarios.ts';
import { tableHead, tableRow } from './table.ts';

const scenarios = [...streamScenarios, ...serverScenarios, ...crashScenarios, ...loginScenarios];

interface Selection {
  readonly server: string;
  readonly scenario: string;
}

async function playOne(stage: Stage, scenario: Scenario): Promise<readonly string[]> {
  const { name } = scenario;
  try {
    const verdict = await play(stage, scenario);
    console.log(tableRow(name, verdict));
    if (verdict.forgotten > 0) {
      const reason = whyForgotten(stage, scenario);
      console.log(`  accepted: ${verdict.forgotten} lost from before the server ended: ${reason}`);
    }
    return verdict.violations;
  } catch (error) {
    console.log(name);
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** Prints a server's table with each violation below its line; returns their number. */
async function playAll(program: Program, selected: readonly Scenario[]): Promise<number> {
  const stage = await startStage(program, selected.length, true);
  let count = 0;
  try {
    console.log(`\n${tableHead(program.title)}`);
    for (const scenario of selected) {
      for (const violation of await playOne(stage, scenario)) {
        console.log(`  VIOLATED: ${violation}`);
        count += 1;
      }
    }
  } finally {
    await stage.stop();
  }
  return count;
}

function readArguments(): Selection {
  const text = { type: 'string', default: '' } as const;
  return parseArgs({ options: { server: text, scenario: text } }).values;
}

const { server, scenario } = readArguments();
let violations = 0;
let isAnyPlayed = false;
for (const program of programs) {
  const all = program.isForCrashes ? crashScenarios : scenarios;
  const selected = all.filter(({ name }) => name.includes(scenario));
  if (program.title.toLowerCase().includes(server.toLowerCase()) && selected.length > 0) {
    isAnyPlayed = true;
    violations += await playAll(program, selected);
  }
}
if (!isAnyPlayed)
  throw new Error('expected a server and a scenario by parts of their names, found none');
const seconds = (performance.now() / 1000).toFixed(0);
console.log(`\n${violations} violations, ${seconds} s`);
process.exitCode = violations === 0 ? 0 : 1;
