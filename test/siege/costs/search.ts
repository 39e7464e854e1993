import { createRandom, type Random } from '../../fuzz/random.ts';
import { createPayload, dimensions, plainest, type Shape } from './shape.ts';
import type { Cost, Recipient, Stage } from './stage.ts';

/** A shape, repeated as often as the limits allow. */
export interface Trial {
  readonly shape: Shape;
  readonly repeats: number;
  readonly bytes: number;
  readonly cost: Cost;
}

/** Below `limits.body_bytes`, with room for the message around it. */
const mostBytes = 261_500;

/** Sends the largest message of a shape that the gateway accepts; undefined when it accepts none. */
export async function tryShape(
  stage: Stage,
  shape: Shape,
  recipient: Recipient,
): Promise<Trial | undefined> {
  const { mostRepeats, build } = createPayload(shape);
  let least = 0;
  let most = mostRepeats(mostBytes) + 1;
  if (most > 1 && (await stage.isAllowed(build(most - 1)))) least = most - 1;
  while (most - least > 1 && most - least > least / 100) {
    const middle = Math.floor((least + most) / 2);
    if (await stage.isAllowed(build(middle))) least = middle;
    else most = middle;
  }
  if (least === 0) return undefined;
  const payload = build(least);
  const cost = await stage.measure(payload, recipient);
  return { shape, repeats: least, bytes: Buffer.byteLength(payload), cost };
}

/** Some plain shapes, and each of them with every other value of one dimension. */
export function* sweep(): Generator<Shape> {
  const bases: Shape[] = [
    plainest,
    { ...plainest, declared: 'nowhere' },
    { ...plainest, declared: 'each', namespace: 30 },
    { ...plainest, attributes: 5 },
    { ...plainest, attributes: 2, attributeNamespace: 5, declared: 'prefix', depth: 15 },
  ];
  for (const base of bases) {
    yield base;
    for (const [key, values] of Object.entries(dimensions)) {
      if (key === 'text') continue;
      for (const value of new Set<unknown>(values)) {
        if (value !== Object(base)[key]) yield { ...base, [key]: value };
      }
    }
  }
  for (const text of dimensions.text) {
    for (const textLength of [1, 10, 240_000]) {
      yield { ...plainest, declared: 'nowhere', text, textLength };
    }
  }
}

/** Changes one or two dimensions. */
export function mutate(shape: Shape, random: Random): Shape {
  let mutated = shape;
  for (let change = 0; change <= random.int(2); change++) {
    const [key, values] = random.pick(Object.entries(dimensions));
    mutated = { ...mutated, [key]: random.pick<unknown>(values) };
  }
  return mutated;
}

/** Calls `onTrial` for each trial until the time is up: the sweep, then mutants of the costliest. */
export async function search(
  stage: Stage,
  options: {
    readonly until: number;
    readonly seed: number;
    readonly onTrial: (trial: Trial) => void;
  },
): Promise<Trial[]> {
  const { until, seed, onTrial } = options;
  const trials: Trial[] = [];
  const attempt = async (shape: Shape): Promise<void> => {
    const trial = await tryShape(stage, shape, 'online');
    if (trial === undefined) return;
    trials.push(trial);
    trials.sort((a, b) => b.cost.cpuMs - a.cost.cpuMs);
    onTrial(trial);
  };
  for (const shape of sweep()) {
    if (Date.now() > until) return trials;
    await attempt(shape);
  }
  const random = createRandom(seed, 0);
  const seen = new Set<string>();
  while (Date.now() < until) {
    const { shape = plainest } = trials[random.int(Math.min(5, trials.length))] ?? {};
    const mutated = mutate(shape, random);
    const key = JSON.stringify(mutated);
    if (seen.has(key)) continue;
    seen.add(key);
    await attempt(mutated);
  }
  return trials;
}
