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
 * A caller with one connection, which pauses between its messages, alone and beside another caller:
 * one who floods from many connections, or who sends all in one request. Latencies in milliseconds.
 */
export async function measureFairness(site, flooders = 256) {
  const other = startPeer('./load.mjs');
  const port = site.gateway.port;
  const flood = { port, template: contenders.user.request(100), connections: flooders };
  const { request, line } = contenders.bulk;
  const bulk = { port, template: request(), line: line(100), connections: 1 };
  const quiet = { port, template: contenders.api.request(100), connections: 1, pauseMs };
  const bounds = { warmUpMs: 500, ms: 3000 };
  let firstId = quietIds;
  let floodId = quietIds / 2;
  const postQuietly = async () => {
    const sample = await post(other, { ...quiet, ...bounds, firstId });
    firstId = sample.lastId;
    return sample;
  };
  const postBeside = async (others) => {
    const ms = bounds.ms + 1000;
    const flooding = post(site.load, { ...others, warmUpMs: 300, ms, firstId: floodId });
    await sleep(300);
    const disturbed = await postQuietly();
    const flooded = await flooding;
    floodId = flooded.lastId;
    await settle(site, Number.POSITIVE_INFINITY, 200);
    return { disturbed, flooded };
  };
  const samples = { alone: [], beside: [], floods: [], besideBulk: [] };
  try {
    for (let round = 0; round < rounds; round += 1) {
      samples.alone.push(await postQuietly());
      const { disturbed, flooded } = await postBeside(flood);
      samples.beside.push(disturbed);
      samples.floods.push(flooded);
      samples.besideBulk.push((await postBeside(bulk)).disturbed);
    }
  } finally {
    await other.stop();
  }
  const { alone, beside, floods, besideBulk } = samples;
  return {
    flooders,
    alone: spreadOf(alone),
    beside: spreadOf(beside),
    flood: spreadOf(floods),
    besideBulk: spreadOf(besideBulk),
    refused: countRefused([...alone, ...beside, ...besideBulk]),
  };
}
