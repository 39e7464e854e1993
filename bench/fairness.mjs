import { setTimeout as sleep } from 'node:timers/promises';
import { contenders } from './contenders.mjs';
import { startPeer } from './processes.mjs';
import { spread } from './samples.mjs';
import { settle } from './site.mjs';

const quietIds = 10_000_000;
const pauseMs = 20;
const rounds = 3;

async function post(peer, order) {
  const ended = peer.waitFor('ended');
  const done = peer.waitFor('done');
  peer.send(order);
  const { seconds } = await ended;
  const { p50, p99, statuses, lastId } = await done;
  return { p50, p99, statuses, lastId, seconds };
}

function spreadOf(samples) {
  const of = (key) => spread(samples.map((sample) => sample[key]));
  return { p50: of('p50'), p99: of('p99') };
}

function countRefused(samples) {
  const counts = samples.flatMap(({ statuses }) => Object.entries(statuses));
  return counts.reduce((sum, [status, count]) => sum + (status === '200' ? 0 : count), 0);
}

/**
 * A caller with one connection, which pauses between its messages, alone and beside another caller
 * who floods: latencies in milliseconds.
 */
export async function measureFairness(site, flooders = 256) {
  const other = startPeer('./load.mjs');
  const port = site.gateway.port;
  const flood = { port, template: contenders.user.request(100), connections: flooders };
  const quiet = { port, template: contenders.api.request(100), connections: 1, pauseMs };
  const bounds = { warmUpMs: 500, ms: 3000 };
  let firstId = quietIds;
  let floodId = quietIds / 2;
  const alone = [];
  const beside = [];
  const floods = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const calm = await post(other, { ...quiet, ...bounds, firstId });
      alone.push(calm);
      const flooding = post(site.load, {
        ...flood,
        warmUpMs: 300,
        ms: bounds.ms + 1000,
        firstId: floodId,
      });
      await sleep(300);
      const disturbed = await post(other, { ...quiet, ...bounds, firstId: calm.lastId });
      beside.push(disturbed);
      const flooded = await flooding;
      floods.push(flooded);
      firstId = disturbed.lastId;
      floodId = flooded.lastId;
      await settle(site, Number.POSITIVE_INFINITY, 200);
    }
  } finally {
    await other.stop();
  }
  return {
    flooders,
    alone: spreadOf(alone),
    beside: spreadOf(beside),
    flood: spreadOf(floods),
    refused: countRefused([...alone, ...beside]),
  };
}
