import { measure } from './measure.mjs';
import { readRssMb } from './processes.mjs';

const bytes = 100;

/** Does the cost of a message grow with the number of messages, or of connections? */
export async function measureGrowth(site) {
  const rows = [];
  const add = async (what, bounds) => {
    const { perSecond, cpu, others } = await measure(site, 'api', { bytes, ...bounds });
    rows.push({ what, perSecond, cpu, others, rssMb: readRssMb(site.gateway.pid) });
  };
  for (const count of [1000, 10_000, 100_000]) {
    await add(`${count} messages, 64 connections`, { connections: 64, count });
  }
  for (const connections of [1, 64, 1000]) {
    await add(`${connections} connections`, { connections, ms: 3000 });
  }
  return rows;
}
