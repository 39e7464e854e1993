import { contenders } from './contenders.mjs';
import { readCpuMs, readMachine } from './processes.mjs';
import { readDelivered, settle } from './site.mjs';

/** How long requests are sent before the clock starts. */
const warmUpMs = 250;

let lastId = 0;

function readCpu(site, own) {
  return {
    server: readCpuMs(site.server.pid),
    own: own === undefined ? 0 : readCpuMs(own),
    receiver: readCpuMs(site.receiver.pid),
    load: readCpuMs(site.load.pid),
  };
}

async function look(site, own) {
  const cpu = readCpu(site, own);
  return { cpu, machine: readMachine(), ...(await readDelivered(site)) };
}

function cpuPerMessage(before, after, messages) {
  const names = Object.keys(before.cpu);
  return Object.fromEntries(
    names.map((name) => [name, ((after.cpu[name] - before.cpu[name]) * 1000) / messages]),
  );
}

/** Share of the machine that processes which are not ours took. */
function shareOfOthers(before, after) {
  const all = after.machine.allMs - before.machine.allMs;
  const busy = all - (after.machine.idleMs - before.machine.idleMs);
  const ours = Object.keys(before.cpu).reduce(
    (sum, name) => sum + after.cpu[name] - before.cpu[name],
    0,
  );
  return Math.max(0, busy - ours) / all;
}

/**
 * Lets one contender send for some time, and returns how many messages arrived per second, the
 * latencies in milliseconds, and the CPU time per message in microseconds, by process.
 */
export async function measure(site, name, { connections, bytes, ...bounds }) {
  const contender = contenders[name];
  const target = contender.target?.(site);
  const peer = target === undefined ? site.receiver : site.load;
  const before = await readDelivered(site);
  const events = ['started', 'ended', 'done'].map((event) => peer.waitFor(event));
  const [started, ended, done] = events;
  Promise.all(events).catch(() => {});
  const template = target === undefined ? contender.blast(bytes) : contender.request(bytes);
  const line = contender.line?.(bytes);
  peer.send({
    ...(target === undefined ? { order: 'blast', window: connections } : { port: target.port }),
    connections: line === undefined ? connections : 1,
    template,
    line,
    warmUpMs,
    firstId: lastId,
    ...bounds,
  });
  await started;
  const first = await look(site, target?.pid);
  await ended;
  const { statuses, p50, p99, lastId: reached } = await done;
  lastId = reached;
  const accepted = statuses[200] ?? 0;
  const refused = Object.values(statuses).reduce((sum, count) => sum + count, 0) - accepted;
  // A server may answer long before it delivers: what counts is when the last message has arrived.
  await settle(site, before.delivered + accepted);
  const last = await look(site, target?.pid);
  const delivered = last.delivered - first.delivered;
  return {
    perSecond: (delivered * 1000) / (last.lastAt - first.at),
    p50,
    p99,
    cpu: cpuPerMessage(first, last, delivered),
    others: shareOfOthers(first, last),
    refused,
    lost: before.delivered + accepted - last.delivered,
    duplicates: last.duplicates - before.duplicates,
  };
}
