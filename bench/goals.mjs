import { spread } from './samples.mjs';

/**
 * What the gateway has to achieve, mostly as ratios within one run. Each goal reads points, and is
 * undefined without them. It applies to the server named by `on`, or to both: what the servers have to
 * achieve may differ.
 */
const wanted = [
  {
    title: 'delivered/s at 64 connections, confirmed / the ceiling',
    least: 0.75,
    read: ({ at }) => ratio(at('api', 64), at('ceiling', 64)),
  },
  {
    title: "delivered/s at 64 connections / ejabberd's HTTP API by IP address",
    least: 2,
    read: ({ at }) => ratio(at('api', 64), at('ejabberd', 64)),
  },
  {
    title: 'delivered/s at 64 connections / naive gateway, which confirms nothing',
    least: 1,
    read: ({ at }) => ratio(at('api', 64), at('naive', 64)),
  },
  {
    title: 'CPU of the gateway per message at 64 connections / naive gateway',
    most: 1.15,
    read: ({ at }) => cpuRatio(at('api', 64), at('naive', 64)),
  },
  {
    title: 'many in one request: delivered/s / the ceiling at window 64',
    least: { prosody: 0.9, ejabberd: 0.8 },
    read: ({ at }) => ratio(at('bulk', 64), at('ceiling', 64)),
  },
  {
    title: 'many in one request: delivered/s / one in each, 64 connections',
    least: { prosody: 2, ejabberd: 3 },
    read: ({ at }) => ratio(at('bulk', 64), at('api', 64)),
  },
  {
    title: "many in one request: delivered/s / ejabberd's HTTP API by IP address",
    least: 5,
    read: ({ at }) => ratio(at('bulk', 64), at('ejabberd', 64)),
  },
  {
    title: 'many in one request: CPU of the gateway per message / naive gateway',
    most: 0.2,
    read: ({ at }) => cpuRatio(at('bulk', 64), at('naive', 64)),
  },
  {
    title: "URL of XMPP users / ejabberd's HTTP API with Basic, SCRAM store",
    least: 60,
    read: ({ at }) => ratio(at('user', 64), at('ejabberdBasic', 64)),
  },
  {
    title: 'CPU of the gateway per message at 64 connections',
    most: 100,
    unit: ' µs',
    read: ({ at }) => at('api', 64)?.cpu.own,
  },
  {
    title: 'median latency at 1 connection, above the ceiling at window 1',
    most: 0.4,
    unit: ' ms',
    read: ({ at }) => difference(at('api', 1)?.p50, at('ceiling', 1)?.p50),
  },
  {
    title: 'p99 latency at 1 connection, above the ceiling at window 1',
    most: 1.5,
    unit: ' ms',
    read: ({ at }) => difference(at('api', 1)?.p99, at('ceiling', 1)?.p99),
  },
  {
    title: 'delivered/s of 10 kB at 64 connections / the ceiling at 10 kB',
    least: 0.9,
    read: ({ at }) => ratio(at('api', 64, 10_000), at('ceiling', 64, 10_000)),
  },
  {
    title: 'allocated for a request',
    most: 24,
    unit: ' kB',
    read: ({ allocated }) => allocated?.api,
  },
  {
    title: 'quiet caller beside a flood from many connections: p99',
    most: 60,
    unit: ' ms',
    read: ({ fairness }) => fairness?.beside.p99.median,
  },
  {
    title: 'quiet caller beside many messages in one request: p99 / alone',
    most: 3,
    read: ({ fairness }) => fairness && fairness.besideBulk.p99.median / fairness.alone.p99.median,
  },
  {
    title: 'RSS of the gateway after the run',
    most: 110,
    unit: ' MB',
    read: ({ loadedMb }) => loadedMb,
  },
  {
    title: 'first password check of a user (SCRAM, STARTTLS): CPU of the gateway',
    most: 10,
    unit: ' ms',
    read: ({ logins }) => logins?.checkMs,
  },
  {
    title: 'remembered password: CPU of the gateway',
    most: 5,
    unit: ' µs',
    read: ({ logins }) => logins?.cachedUs,
  },
  {
    title: 'start until ready',
    on: 'prosody',
    most: 300,
    unit: ' ms',
    read: ({ startMs }) => startMs,
  },
];

function ratio(a, b) {
  return a && b && medianRatio(a.rounds, b.rounds);
}

function cpuRatio(a, b) {
  return a && b && medianRatio(a.cpuRounds, b.cpuRounds);
}

/** The median of the rounds' ratios: what disturbs a round disturbs both. */
function medianRatio(a, b) {
  return spread(a.map((value, round) => value / b[round]))?.median;
}

function difference(a, b) {
  return a && b ? a.median - b.median : undefined;
}

/** Compares the results with the goals; what was not measured is left out. */
export function judge(results) {
  return results.flatMap(({ kind, points, ...measures }) => {
    const at = (name, connections, bytes = 100) =>
      points.find(
        (point) =>
          point.name === name && point.connections === connections && point.bytes === bytes,
      );
    return wanted.flatMap(({ title, on = kind, least, most, unit, read }) => {
      const measured = read({ at, ...measures });
      if (on !== kind || measured === undefined) return [];
      const floor = least?.[kind] ?? least;
      const isReached = floor === undefined ? measured <= most : measured >= floor;
      const goal = floor === undefined ? `≤ ${most}` : `≥ ${floor}`;
      return [{ title, kind, goal, measured, unit, isReached }];
    });
  });
}
