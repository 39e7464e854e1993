import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import { type FaultProxy, startProxy } from '../support/doubles/fault-proxy.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { arrivedIds } from '../support/gateway/load.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

describe.each(servers)('a component stream to $kind that breaks', ({ start }) => {
  let server: XmppServer;
  let proxy: FaultProxy;
  let gateway: GatewayProcess;
  let bob: Session;

  beforeAll(async () => {
    server = await start();
    await server.register('bob', 'bob-secret');
    bob = await openSessionOn(server, 'bob', 'bob-secret');
    proxy = await startProxy(server.componentPort);
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, {
        component: { port: proxy.port },
        delivery: { silence_timeout_ms: 1000 },
      }),
    });
  });
  afterEach(async () => {
    await proxy.setMode('forward');
    await gateway.waitUntilReady();
  });
  afterAll(async () => {
    bob?.destroy();
    await gateway?.stop();
    await proxy?.stop();
    await server?.stop();
  });

  const send = (id: string, body = 'hi'): Promise<HttpAnswer> =>
    post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`, {
      auth: [apiAccount.username, apiAccount.password],
      body: JSON.stringify({ to: 'bob@example.org', body, message_attributes: { id } }),
    });
  const fateOf = async (answer: Promise<HttpAnswer>): Promise<unknown> => {
    const { status, headers, json } = await answer;
    return { status, code: json()['code'], retryAfter: headers['retry-after'] };
  };
  const unknown = { status: 504, code: 'delivery-unknown', retryAfter: undefined };
  const unavailable = { status: 503, code: 'xmpp-unavailable', retryAfter: '2' };
  const waitUntilDown = (reason: RegExp): Promise<unknown> =>
    waitUntil(
      async () => reason.test(String((await request(`${gateway.url}/readyz`)).json()['reason'])),
      { label: `a stream that is down: ${reason}` },
    );
  const arrived = async (): Promise<string[]> => {
    await bob.settle();
    return arrivedIds(bob);
  };

  test('behind a message, before its barrier: 504, and the message has arrived', async () => {
    // Serialised the message is less than 150 bytes longer, with the barrier more.
    const body = 'x'.repeat(4000);
    proxy.cutAfter(4000 + 150);
    expect(await fateOf(send('cut-behind', body))).toEqual(unknown);
    await bob.waitForMessage('cut-behind');
    await gateway.waitUntilReady();
    expect((await send('after-cut-behind')).status).toBe(200);
    expect((await arrived()).filter((id) => id === 'cut-behind')).toHaveLength(1);
  });

  test('within a message: 504, and nothing has arrived', async () => {
    proxy.cutAfter(2000);
    expect(await fateOf(send('cut-within', 'x'.repeat(4000)))).toEqual(unknown);
    await gateway.waitUntilReady();
    expect((await send('after-cut-within')).status).toBe(200);
    expect(await arrived()).not.toContain('cut-within');
  });

  test('and cannot be opened again: 503, and nothing arrives later either', async () => {
    await proxy.setMode('refuse');
    proxy.resetAll();
    await waitUntilDown(/ECONNREFUSED/);
    expect(await fateOf(send('refused'))).toEqual(unavailable);
    await proxy.setMode('forward');
    await gateway.waitUntilReady();
    expect((await send('after-refused')).status).toBe(200);
    expect(await arrived()).not.toContain('refused');
  });

  test('in silence: 504 after silence_timeout_ms, then 503, and a new stream', async () => {
    await proxy.setMode('swallow');
    expect(await fateOf(send('swallowed'))).toEqual(unknown);
    await waitUntilDown(/silent for 1000 ms|no answer within/);
    expect(await fateOf(send('refused-in-silence'))).toEqual(unavailable);
    await proxy.setMode('forward');
    await gateway.waitUntilReady();
    expect((await send('after-silence')).status).toBe(200);
    const ids = await arrived();
    expect(ids).not.toContain('swallowed');
    expect(ids).not.toContain('refused-in-silence');
  });

  test('while idle is found out by itself', async () => {
    const before = proxy.accepted;
    await proxy.setMode('swallow');
    await waitUntil(() => proxy.accepted > before, { label: 'another attempt' });
    await proxy.setMode('forward');
    proxy.resetAll();
  });
});
