/** Digits of the number in an id such as bench-0000000042: all requests are equally long. */
export const idDigits = 10;

/** The id in a template, until `fillIn` replaces its number. */
export const idTemplate = `bench-${'0'.repeat(idDigits)}`;

/** Writes the number over the digits of the id at `at`. */
export function fillIn(buffer, at, number) {
  let rest = number;
  for (let index = at + idTemplate.length - 1; index >= at + 6; index -= 1) {
    buffer[index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** Finds the offsets of the ids in a template. */
export function findIds(template) {
  const places = [];
  for (let at = template.indexOf('bench-'); at !== -1; at = template.indexOf('bench-', at + 1)) {
    places.push(at);
  }
  return places;
}

/** Median and 99th percentile of latencies in milliseconds. */
export function summarize(latencies) {
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p99: at(0.99) };
}

/** Median, least and most of some values; undefined ones are left out. */
export function spread(values) {
  const sorted = values.filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}
