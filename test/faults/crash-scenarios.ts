import { setTimeout as delay } from 'node:timers/promises';
import type { Drill } from './drill.ts';
import type { Scenario } from './scenario.ts';

const some = 40;

/** Lets messages flow for some time, in which the server may or may not write them to disk. */
async function crashUnderLoad({ server, crash, answers, healthy }: Drill): Promise<void> {
  await answers(200, some);
  await delay(3000);
  await crash();
  await answers(503, some);
  await server.resume();
  await healthy();
  await answers(200, some);
}

/** The server's process ends without warning. */
export const crashScenarios: readonly Scenario[] = [
  {
    name: 'SIGSTOP, then kill -9',
    run: async ({ server, crash, answers, healthy }) => {
      await answers(200, some);
      server.kill('SIGSTOP');
      await answers(504, 1);
      await crash();
      await server.resume();
      await healthy();
      await answers(200, some);
    },
  },
  {
    name: 'kill -9 under load, twice',
    run: async (drill) => {
      await crashUnderLoad(drill);
      await crashUnderLoad(drill);
    },
  },
  {
    name: 'kill -9 under load, recipient online',
    isRecipientOnline: true,
    forgets: {
      ejabberd:
        "ejabberd answers the ping while the process of the recipient's session still holds them",
    },
    run: crashUnderLoad,
  },
];
