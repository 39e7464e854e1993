import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loginScenarios } from '../faults/login-scenarios.ts';
import { programs } from '../faults/programs.ts';
import { play, type Scenario } from '../faults/scenario.ts';
import { type Stage, startStage } from '../faults/stage.ts';
import { streamScenarios } from '../faults/stream-scenarios.ts';

// The short ones; `npm run faults` plays all of them.
const names = [
  'RST of the component connection, 4 times',
  'cut in the middle of a stanza, 4 times',
  'answers swallowed, retried with the same key',
  'c2s refused',
];

function find(name: string): Scenario {
  const scenario = [...streamScenarios, ...loginScenarios].find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`expected a scenario "${name}", found none`);
  return scenario;
}

const scenarios = names.map(find);

describe.each(programs.filter(({ isForCrashes }) => !isForCrashes))(
  'acknowledged is delivered exactly once, and 503 never: $title',
  (program) => {
    let stage: Stage;

    beforeAll(async () => {
      stage = await startStage(program, scenarios.length, false);
    });
    afterAll(() => stage?.stop());

    test.each(scenarios)('$name', async (scenario) => {
      const { violations, acknowledged, posted } = await play(stage, scenario, false);
      expect(violations).toEqual([]);
      expect(acknowledged).toBeGreaterThan(0);
      expect(posted).toBeGreaterThan(0);
    });
  },
);
