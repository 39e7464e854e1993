import { parseArgs } from 'node:util';
import type { ServerKind } from '../../support/servers/xmpp-server.ts';
import { search, type Trial, tryShape } from './search.ts';
import { describeShape, type Shape } from './shape.ts';
import { openStage, type Recipient, type Stage } from './stage.ts';

const usage = `usage: npm run siege:costs -- [--limits none|default|JSON] [--minutes N] [--only SERVER] [--seed N]
                           [--show N] [--again N] [--verbose]
  --limits L    none: as if there were no limits on cost; JSON: keys and values of limits; default default
  --minutes N   of search on each server; default 5
  --only S      prosody or ejabberd; default both
  --seed N      of the choices; default 1
  --show N      the costliest, measured --again N times (default 8, 5)
  --verbose     each message that is tried`;

const { values } = parseArgs({
  options: {
    limits: { type: 'string', default: 'default' },
    help: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '5' },
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '8' },
    again: { type: 'string', default: '5' },
    verbose: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit();
}

/** Limits that no message reaches. */
const none = {
  elements: 1_000_000,
  total_attributes: 1_000_000,
  namespace_bytes: 67_108_864,
  expanded_bytes: 1_099_511_627_776,
};
const limitSets: Record<string, Record<string, number>> = { none, default: {} };
const limits = limitSets[values.limits] ?? JSON.parse(values.limits);

function describe({ shape, repeats, bytes, cost }: Trial): string {
  const cells = [cost.cpuMs, cost.growthBytes / 1e6, cost.diskBytes / 1e6, cost.gatewayCpuMs];
  const numbers = cells.map((cell) => cell.toFixed(cell < 10 ? 1 : 0).padStart(8)).join('');
  return `${numbers} ${String(cost.outcome).padStart(7)} ${String(bytes).padStart(7)} ${String(repeats).padStart(6)} x ${describeShape(shape)}`;
}

const columns = '  CPU ms  MB more  MB disk  gateway outcome   bytes repeats';

/** The least of several runs, since other load can only add to it. Gateway: CPU time in ms. */
async function measureAgain(stage: Stage, shape: Shape, recipient: Recipient) {
  let least: Trial | undefined;
  for (let time = 0; time < Number(values.again); time++) {
    const trial = await tryShape(stage, shape, recipient);
    if (trial === undefined || trial.cost.outcome === 'killed') return trial;
    if (least === undefined || trial.cost.cpuMs < least.cost.cpuMs) least = trial;
  }
  return least;
}

async function printCostliest(stage: Stage, trials: readonly Trial[]): Promise<void> {
  const shapes = trials.slice(0, Number(values.show)).map(({ shape }) => shape);
  for (const recipient of ['online', 'offline'] as const) {
    console.log(`\n${stage.kind}, to a user who is ${recipient}\n${columns}`);
    const measured: Trial[] = [];
    for (const shape of shapes) {
      const trial = await measureAgain(stage, shape, recipient);
      if (trial !== undefined) measured.push(trial);
    }
    for (const trial of measured.toSorted((a, b) => b.cost.cpuMs - a.cost.cpuMs)) {
      console.log(describe(trial));
    }
  }
}

const kinds: readonly ServerKind[] = ['prosody', 'ejabberd'];
for (const kind of kinds.filter((it) => values.only === undefined || it === values.only)) {
  const stage = await openStage(kind, limits);
  const trials = await search(stage, {
    until: Date.now() + Number(values.minutes) * 60_000,
    seed: Number(values.seed),
    onTrial: (trial) => {
      if (values.verbose) console.log(describe(trial));
    },
  });
  console.log(`${kind}: tried ${trials.length} messages, limits ${values.limits}`);
  await printCostliest(stage, trials);
  await stage.stop();
}
