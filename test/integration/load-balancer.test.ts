import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { arrivedIds, startLoad, waitForMore } from '../support/gateway/load.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { type LoadBalancer, startHaproxy } from '../support/system/haproxy.ts';
import { freePorts } from '../support/system/ports.ts';
import { waitUntil } from '../support/system/wait.ts';

const components = ['one', 'two'].map((name) => ({
  domain: `${name}.gateway.example.org`,
  secret: `${name}-secret`,
}));

describe.each(servers)('two gateways behind deploy/haproxy.cfg on $kind', ({ start }) => {
  let server: XmppServer;
  let ports: number[];
  let metricsPorts: number[];
  let gateways: GatewayProcess[];
  let balancer: LoadBalancer;
  let bob: Session;

  const startGateway = (index: number): Promise<GatewayProcess> =>
    startGatewayProcess({
      config: gatewayConfig(server, {
        component: { ...server.components[index] },
        http: {
          trusted_proxies: ['127.0.0.1'],
          port: ports[index],
          metrics: { port: metricsPorts[index] },
        },
      }),
    });
  const untilUp = (count: number): Promise<unknown> =>
    waitUntil(async () => (await balancer.servers()).filter(({ isUp }) => isUp).length === count, {
      label: `${count} gateways to be up`,
    });

  beforeAll(async () => {
    gateways = [];
    ports = await freePorts(components.length);
    metricsPorts = await freePorts(components.length);
    server = await start({ components });
    await server.register('bob', 'bob-secret');
    for (const index of components.keys()) gateways.push(await startGateway(index));
    balancer = await startHaproxy(ports);
    bob = await openSessionOn(server, 'bob', 'bob-secret');
  });
  afterAll(async () => {
    bob?.destroy();
    await balancer?.stop();
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await server?.stop();
  });

  const send = (id: string, sender = 'alice', headers = {}): Promise<HttpAnswer> =>
    post(`${balancer.url}/api/1.0/xmppdomains/example.org/gateway/messages/${sender}`, {
      auth: [apiAccount.username, apiAccount.password],
      body: JSON.stringify({ to: 'bob@example.org', message_attributes: { id } }),
      headers,
    });

  test('share the messages', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `shared-${index}`);
    const answers = await Promise.all(ids.map((id) => send(id)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await bob.settle();
    expect(
      arrivedIds(bob)
        .filter((id) => id.startsWith('shared-'))
        .toSorted(),
    ).toEqual(ids.toSorted());
    for (const { requests } of await balancer.servers()) expect(requests).toBeGreaterThan(5);
  });

  test('get paths as they were written, and the client’s own address', async () => {
    const answer = await send('path', 'o%C3%A9%2Da', { 'x-forwarded-for': '203.0.113.1' });
    expect(answer.json()).toMatchObject({ from: 'oé-a@example.org' });
    expect((await send('path', 'a%2Fb')).status).toBe(404);
    const findLine = () =>
      gateways
        .flatMap((gateway) => gateway.logLines())
        .find(({ sender }) => sender === 'oé-a@example.org');
    expect(await waitUntil(findLine, { label: 'its line in the log' })).toMatchObject({
      address: '127.0.0.1',
    });
  });

  test('can be restarted one after the other, and no request fails', async () => {
    const load = startLoad(balancer, {
      clients: 4,
      to: 'bob@example.org',
      // ejabberd answers faster than it delivers what it archives.
      afterSuccess: (id) => bob.waitForMessage(id),
    });
    await waitForMore(load, 200, 50);
    for (const index of gateways.keys()) {
      await balancer.setState(index, 'drain');
      await waitForMore(load, 200, 50);
      await gateways[index]?.stop();
      await waitForMore(load, 200, 50);
      gateways[index] = await startGateway(index);
      await balancer.setState(index, 'ready');
      await untilUp(2);
    }
    await load.stop();
    const failed = load.outcomes.filter(({ answer }) => answer?.status !== 200);
    expect(failed.map(({ answer }) => answer?.status)).toEqual([]);
  });

  test('never get a message that another may have sent', async () => {
    // So that both know the credentials.
    await Promise.all(Array.from({ length: 8 }, (_, index) => send(`warm-up-${index}`)));
    server.kill('SIGSTOP');
    const answers = ['kill-1', 'kill-2', 'kill-3', 'kill-4'].map(async (id) => {
      // On a connection that had a request before, HAProxy closes it instead of saying 502.
      const answer = await send(id).catch(() => undefined);
      return answer?.status ?? 502;
    });
    try {
      await waitUntil(
        async () => (await Promise.all(metricsPorts.map(readInFlight))).every((count) => count > 0),
        { label: 'messages in flight at both' },
      );
      gateways[0]?.signal('SIGKILL');
      await gateways[0]?.exited;
    } finally {
      server.kill('SIGCONT');
    }
    expect(new Set(await Promise.all(answers))).toEqual(new Set([200, 502]));
    await bob.settle();
    const arrived = arrivedIds(bob).filter((id) => id.startsWith('kill-'));
    expect(arrived.length).toBe(new Set(arrived).size);
  });
});

async function readInFlight(metricsPort: number): Promise<number> {
  const { body } = await request(`http://127.0.0.1:${metricsPort}/metrics`);
  return Number(/_in_flight_messages (\d+)/.exec(body)?.[1]);
}
