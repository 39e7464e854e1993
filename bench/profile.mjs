// node bench/profile.mjs FILE.cpuprofile: where the time goes, by package and by function.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const profile = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const byId = new Map(profile.nodes.map((node) => [node.id, node]));
const own = new Map();
for (const [index, id] of profile.samples.entries()) {
  own.set(id, (own.get(id) ?? 0) + profile.timeDeltas[index] / 1000);
}

const sources = new Map();

/** The module that each line of a bundle comes from. */
function readSources(url) {
  let source = url;
  return readFileSync(fileURLToPath(url), 'utf8')
    .split('\n')
    .map((line) => {
      source = /^\/\/ ((?:src|node_modules)\/\S+)$/.exec(line)?.[1] ?? source;
      return source;
    });
}

/** Like `node_modules/koa/lib/request.js` or `src/http/app.ts`. */
function sourceOf({ url, lineNumber }) {
  if (!url.startsWith('file:')) return url;
  if (!sources.has(url)) sources.set(url, readSources(url));
  return sources.get(url)[lineNumber] ?? url;
}

function groupOf(frame) {
  const { functionName } = frame;
  const url = sourceOf(frame);
  if (functionName === '(idle)' || functionName === '(garbage collector)') return functionName;
  const [, part] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  if (part !== undefined) return part;
  if (url.startsWith('node:')) return url.replace(/^(node:(?:internal\/)?[^/]+).*/, '$1');
  return url.startsWith('src/') ? url : functionName;
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
  sum((frame) => {
    const place = sourceOf(frame).replace(/^.*node_modules\//, '');
    const file = frame.url.replace(/^.*\//, '');
    return `${frame.functionName} ${place} (${file}:${frame.lineNumber + 1})`;
  }),
  50,
);
