import { setTimeout as delay } from 'node:timers/promises';
import type { Drill } from './drill.ts';
import { startGarbageServer } from './garbage-server.ts';
import type { ClientOptions } from './posts.ts';
import type { Scenario } from './scenario.ts';

const some = 40;

/** The bot logs in over the c2s port, the API account for alice does not. */
const clients: readonly ClientOptions[] = [
  { url: 'user', clients: 6 },
  { url: 'api', clients: 2 },
];

/** Breaks the c2s port and its open connections until logins have failed for some time. */
async function whileBroken(
  { c2s, answers, healthy }: Drill,
  breakIt: () => Promise<void>,
  mendIt: () => Promise<void>,
): Promise<void> {
  await answers(200, some);
  await breakIt();
  c2s.resetAll();
  await answers(503, some / 2);
  await delay(2000);
  await mendIt();
  await healthy();
  await answers(200, some);
}

/** Faults of the port where passwords are checked. */
export const loginScenarios: readonly Scenario[] = [
  {
    name: 'c2s refused',
    clients,
    statuses: [200, 503],
    run: (drill) =>
      whileBroken(
        drill,
        () => drill.c2s.setMode('refuse'),
        () => drill.c2s.setMode('forward'),
      ),
  },
  {
    name: 'c2s half-open',
    clients,
    statuses: [200, 503],
    run: (drill) =>
      whileBroken(
        drill,
        () => drill.c2s.setMode('half-open'),
        () => drill.c2s.setMode('forward'),
      ),
  },
  {
    name: 'c2s answers garbage',
    clients,
    statuses: [200, 503],
    run: async (drill) => {
      const garbage = await startGarbageServer();
      await whileBroken(
        drill,
        async () => drill.c2s.setTarget(garbage.port),
        async () => drill.c2s.setTarget(drill.server.c2sPort),
      );
      await garbage.stop();
    },
  },
];
