import { setTimeout as delay } from 'node:timers/promises';
import { openComponent } from '../support/clients/component.ts';
import { waitUntil } from '../support/system/wait.ts';
import type { Drill } from './drill.ts';
import type { Scenario } from './scenario.ts';

const some = 40;

/** Waits for this reason in the log. The gateway then pauses before its next attempt. */
async function downBecause(gateway: Drill['gateway'], reason: RegExp): Promise<void> {
  await waitUntil(() => gateway.logLines().some((line) => reason.test(String(line['reason']))), {
    label: `${reason} in the gateway's log`,
  });
}

/** A component with the same domain, connected past the proxy. */
async function openRival({ server }: Drill): Promise<{ close(): Promise<void> }> {
  const { componentPort: port, componentDomain: domain, componentSecret: secret } = server;
  return waitUntil(() => openComponent({ port, domain, secret }).catch(() => undefined), {
    label: 'the name to be free',
  });
}

/** Faults of the server's process and of its side of the component stream. */
export const serverScenarios: readonly Scenario[] = [
  {
    name: 'SIGSTOP of the server for 10 s',
    run: async ({ server, answers, healthy }) => {
      await answers(200, some);
      server.kill('SIGSTOP');
      await delay(10_000);
      server.kill('SIGCONT');
      await healthy();
      await answers(200, some);
    },
  },
  {
    name: 'graceful restart under load',
    run: async ({ restart, answers, healthy }) => {
      await answers(200, some);
      await restart();
      await healthy();
      await answers(200, some);
    },
  },
  {
    name: '20 graceful restarts, recipient online',
    isRecipientOnline: true,
    forgets: {
      ejabberd:
        "ejabberd stops while the process of the recipient's session still holds them; only mod_message_gateway waits for it",
    },
    run: async ({ restart, recipient, answers, healthy }) => {
      for (let times = 1; times <= 20; times += 1) {
        await answers(200, some);
        await restart();
        await recipient.logIn();
        await healthy();
      }
      await answers(200, some);
    },
  },
  {
    name: 'wrong secret, then the right one',
    run: async ({ component, server, gateway, answers, healthy, startOther }) => {
      const other = await startOther({
        components: [{ domain: server.componentDomain, secret: 'another' }],
      });
      await answers(200, some);
      component.setTarget(other.componentPort);
      component.resetAll();
      await downBecause(gateway, /refused component\.secret/);
      await answers(503, some);
      component.setTarget(server.componentPort);
      await healthy();
      await other.stop();
      await answers(200, some);
    },
  },
  {
    name: 'another component joins with the same name',
    run: async (drill) => {
      await drill.answers(200, some);
      const {
        componentPort: port,
        componentDomain: domain,
        componentSecret: secret,
      } = drill.server;
      // Prosody refuses the second component, ejabberd distributes the stanzas over both.
      const rival = await openComponent({ port, domain, secret }).catch(() => undefined);
      await delay(4000);
      await rival?.close();
      await drill.healthy();
      await drill.answers(200, some);
    },
  },
  {
    name: 'another component holds the name first',
    run: async (drill) => {
      const { component, answers, healthy } = drill;
      await answers(200, some);
      await component.setMode('refuse');
      component.resetAll();
      const rival = await openRival(drill);
      await component.setMode('forward');
      // ejabberd keeps both connected, so that the gateway gets only a part of the answers.
      if (drill.kind === 'prosody') await downBecause(drill.gateway, /already has a connection/);
      await delay(4000);
      await rival.close();
      await healthy();
      await answers(200, some);
    },
  },
];
