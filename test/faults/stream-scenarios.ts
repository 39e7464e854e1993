import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../support/system/wait.ts';
import type { Drill } from './drill.ts';
import type { Scenario } from './scenario.ts';

/** Enough answers to show that messages flow, or that they are refused. */
const some = 40;

async function repeat(times: number, round: (turn: number) => Promise<void>): Promise<void> {
  for (let turn = 1; turn <= times; turn += 1) await round(turn);
}

/** Puts the proxy into a mode until the gateway has noticed, and for some more time. */
async function whileIn(
  { component, answers, healthy }: Drill,
  mode: 'half-open' | 'swallow' | 'mute',
  holdMs: number,
): Promise<void> {
  await answers(200, some);
  await component.setMode(mode);
  await answers(503, some);
  await delay(holdMs);
  await component.setMode('forward');
  await healthy();
  await answers(200, some);
}

async function cutInStanza({ component, answers, healthy }: Drill, bytes: number): Promise<void> {
  await answers(200, some);
  const before = component.accepted;
  component.cutAfter(bytes);
  await waitUntil(() => component.accepted > before, { label: 'the next connection' });
  await healthy();
}

/** Faults of the network between the gateway and the component port. */
export const streamScenarios: readonly Scenario[] = [
  {
    name: 'baseline',
    statuses: [200],
    run: async ({ answers, healthy }) => {
      await answers(200, 500);
      await healthy();
    },
  },
  {
    name: 'RST of the component connection, 4 times',
    run: ({ component, answers, healthy }) =>
      repeat(4, async () => {
        await answers(200, some);
        component.resetAll();
        await healthy();
      }),
  },
  {
    name: 'cut in the middle of a stanza, 4 times',
    run: (drill) => repeat(4, (turn) => cutInStanza(drill, 1500 + turn * 47)),
  },
  {
    name: 'port refused for 4 s',
    run: async ({ component, answers, healthy }) => {
      await answers(200, some);
      await component.setMode('refuse');
      component.resetAll();
      await delay(4000);
      await component.setMode('forward');
      await healthy();
      await answers(200, some);
    },
  },
  {
    name: 'half-open: accepts, forwards nothing',
    run: (drill) => whileIn(drill, 'half-open', 4000),
  },
  { name: 'bytes swallowed after the TCP ack', run: (drill) => whileIn(drill, 'swallow', 4000) },
  { name: 'answers swallowed', run: (drill) => whileIn(drill, 'mute', 4000) },
  {
    name: 'answers swallowed, retried with the same key',
    clients: [{ url: 'api', clients: 8, retries: true }],
    run: (drill) => whileIn(drill, 'mute', 0),
  },
  {
    name: 'many in one request: RST 4 times, then mute',
    clients: [{ url: 'api', clients: 4, isBulk: true }],
    run: async (drill) => {
      await repeat(4, async () => {
        await drill.answers(200, some);
        drill.component.resetAll();
        await drill.healthy();
      });
      await whileIn(drill, 'mute', 0);
    },
  },
  {
    name: 'delay 200 ms each way',
    run: async ({ component, answers, healthy }) => {
      component.delayMs = 200;
      await answers(200, 2 * some);
      component.delayMs = 0;
      await healthy();
    },
  },
  {
    name: '1 kB/s for 8 s',
    run: async ({ component, answers, healthy }) => {
      await answers(200, some);
      component.bytesPerSecond = 1000;
      await delay(8000);
      component.bytesPerSecond = 0;
      await healthy();
      await answers(200, some);
    },
  },
];
