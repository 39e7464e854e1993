import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { post, request } from '../support/clients/http.ts';
import { openSessionOn } from '../support/clients/session.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { arrivedIds, idsWith, type Load, startLoad, waitForMore } from '../support/gateway/load.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const clients = 4;

/** Loses its stream and gets it back while clients go on posting. */
async function outage(load: Load, server: XmppServer, gateway: GatewayProcess, end: () => void) {
  await waitForMore(load, 200, 50);
  end();
  await server.halt();
  await waitForMore(load, 503, clients);
  const { status, headers } = await post(
    `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`,
    {
      auth: [apiAccount.username, apiAccount.password],
      body: JSON.stringify({ to: 'bob@example.org' }),
    },
  );
  expect([status, headers['retry-after']]).toEqual([503, '2']);
  await server.resume();
  await gateway.waitUntilReady();
  await waitForMore(load, 200, 50);
  await load.stop();
}

describe.each(servers)('the gateway and an outage of $kind', ({ kind, start }) => {
  let server: XmppServer;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    server = await start();
    await server.register('bob', 'bob-secret');
    // A crash soon after its registration costs ejabberd the account; an orderly end saves it.
    await server.restart();
  });
  afterEach(async () => {
    await gateway?.stop();
  });
  afterAll(async () => {
    await server?.stop();
  });

  test('the gateway comes up before the server, and is ready soon after it', async () => {
    await server.halt();
    gateway = await startGatewayProcess({ config: gatewayConfig(server), ready: false });
    const refused = await waitUntil(() => request(`${gateway.url}/readyz`).catch(() => undefined), {
      label: 'an answer',
    });
    expect(refused.status).toBe(503);
    expect((await request(`${gateway.url}/livez`)).status).toBe(200);
    const answer = await post(
      `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`,
      {
        auth: [apiAccount.username, apiAccount.password],
        body: JSON.stringify({ to: 'bob@example.org' }),
      },
    );
    expect([answer.status, answer.json()['code'], answer.headers['retry-after']]).toEqual([
      503,
      'xmpp-unavailable',
      '2',
    ]);
    const { reason } = (await request(`${gateway.url}/readyz`)).json();
    expect(reason).toBe(`connect ECONNREFUSED 127.0.0.1:${server.componentPort}`);
    await server.resume();
    await gateway.waitUntilReady();
    const told = gateway.logLines().filter(({ msg }) => msg === 'component stream down');
    // A server that is starting may accept a connection before it answers.
    const reasons = told.map((line) => line['reason']);
    expect(
      reasons.filter((other) => other !== 'no answer within 5000 ms to the stream header'),
    ).toEqual([reason]);
  });

  test('a restart under load loses no message that got 200', async () => {
    gateway = await startGatewayProcess({ config: gatewayConfig(server) });
    // Offline: what the server has processed is stored. (On its way to a session it may get lost.)
    const load = startLoad(gateway, { clients, to: 'bob@example.org' });
    await outage(load, server, gateway, () => server.kill('SIGTERM'));
    await judge(load, []);
  });

  test('a crash under load loses no message that got 200', async () => {
    gateway = await startGatewayProcess({ config: gatewayConfig(server) });
    const bob = await openSessionOn(server, 'bob', 'bob-secret');
    const load = startLoad(gateway, {
      clients,
      to: 'bob@example.org',
      afterSuccess: (id) => bob.waitForMessage(id).catch(() => undefined),
    });
    await outage(load, server, gateway, () => server.kill('SIGKILL'));
    // ejabberd answers the ping while its process for Bob's session still holds the message, and
    // that is lost in a crash: of each client at most the one that it waits to see arrive.
    await judge(load, arrivedIds(bob), kind === 'ejabberd' ? clients : 0);
  });

  /** Every 200 arrived, nothing arrived twice, and of what got 503 nothing. */
  async function judge(load: Load, before: readonly string[], maxLost = 0): Promise<void> {
    const bob = await openSessionOn(server, 'bob', 'bob-secret');
    const confirmed = idsWith(load.outcomes, 200);
    await waitUntil(() => arrivedIds(bob).includes(confirmed.at(-1) ?? ''), {
      label: 'the last message',
    });
    await bob.settle();
    bob.destroy();
    const arrived = [...before, ...arrivedIds(bob)];
    const lost = confirmed.filter((id) => !arrived.includes(id));
    const twice = arrived.filter((id, index) => arrived.indexOf(id) !== index);
    const refused = idsWith(load.outcomes, 503).filter((id) => arrived.includes(id));
    expect({ twice, refused }).toEqual({ twice: [], refused: [] });
    expect(lost.length, `lost: ${lost.join(' ')}`).toBeLessThanOrEqual(maxLost);
    const statuses = new Set(load.outcomes.map(({ answer }) => answer?.status));
    // Whether something was in flight at that moment is chance; stream.test.ts sees to it.
    statuses.delete(504);
    expect(statuses).toEqual(new Set([200, 503]));
  }
});
