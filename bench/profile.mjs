// node bench/profile.mjs FILE.cpuprofile: where the time goes, by package and by function.
import { readFileSync } from 'node:fs';

const profile = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const byId = new Map(profile.nodes.map((node) => [node.id, node]));
const own = new Map();
for (const [index, id] of profile.samples.entries()) {
  own.set(id, (own.get(id) ?? 0) + profile.timeDeltas[index] / 1000);
}

function groupOf({ functionName, url }) {
  if (functionName === '(idle)' || functionName === '(garbage collector)') return functionName;
  const [, part] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  if (part !== undefined) return part;
  if (url.startsWith('node:')) return url.replace(/^(node:(?:internal\/)?[^/]+).*/, '$1');
  const [, file] = /\/dist\/(.*)\.js$/.exec(url) ?? [];
  return file === undefined ? functionName : `dist/${file}`;
}

function sum(nameOf) {
  const sums = new Map();
  for (const [id, ms] of own) {
    const { callFrame } = byId.get(id);
    const name = nameOf(callFrame);
    sums.set(name, (sums.get(name) ?? 0) + ms);
  }
  return [...sums].toSorted((a, b) => b[1] - a[1]);
}

const all = [...own.values()].reduce((a, b) => a + b, 0);
const idle = sum(groupOf).find(([group]) => group === '(idle)')?.[1] ?? 0;
const busy = all - idle;
const show = (title, sums, count) => {
  console.log(`\n${title}: share of ${busy.toFixed(0)} ms busy`);
  for (const [name, ms] of sums.filter(([group]) => group !== '(idle)').slice(0, count)) {
    console.log(`${((100 * ms) / busy).toFixed(1).padStart(6)} %  ${name}`);
  }
};
show('by package or file', sum(groupOf), 40);
show(
  'by function',
  sum(({ functionName, url, lineNumber }) => {
    const place = url.replace(/^.*\/(node_modules|dist)\//, '').replace(/^file:.*\//, '');
    return `${functionName} ${place}:${lineNumber + 1}`;
  }),
  50,
);
