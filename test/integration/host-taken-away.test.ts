import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { runInProsodyShell } from '../support/servers/prosody-shell.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const [taken, kept] = ['example.org', 'kept.example'];

describe.each([
  // The message was written, and Prosody looks for the domain elsewhere.
  { mode: 'plain', options: {}, refusal: [504, 'delivery-unknown'] },
  // The module knows that there is no such user here any more.
  { mode: 'client', options: withModule, refusal: [403, 'sender-refused'] },
])('a domain that Prosody takes away while we run, mode $mode', ({ mode, options, refusal }) => {
  let server: XmppServer;
  let bob: Session;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    server = await startProsody({ ...options, domains: [taken, kept] });
    for (const domain of [taken, kept]) await server.register('alice', 'alice-secret', domain);
    await server.register('bob', 'bob-secret', kept);
    bob = await openSessionOn(server, 'bob', 'bob-secret', { domain: kept });
  });
  afterEach(() => gateway?.stop());
  afterAll(async () => {
    bob?.destroy();
    await server?.stop();
  });

  const start = async (silenceMs: number): Promise<void> => {
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, { delivery: { mode, silence_timeout_ms: silenceMs } }),
    });
  };
  const sendFrom = (domain: string, id: string): Promise<HttpAnswer> =>
    post(`${gateway.url}/api/1.0/xmppdomains/${domain}/gateway/messages/alice`, {
      auth: [apiAccount.username, apiAccount.password],
      body: JSON.stringify({ to: `bob@${kept}`, body: 'hi', message_attributes: { id } }),
    });
  const host = (what: 'activate' | 'deactivate'): Promise<void> =>
    runInProsodyShell(server, `host:${what}("${taken}")`);
  const readyz = (): Promise<HttpAnswer> => request(`${gateway.url}/readyz`);

  test('no message from it gets 200, and those of the other domain do until that shows', async () => {
    // Longer than the test: nothing but the messages can notice.
    await start(3_600_000);
    expect((await sendFrom(taken, 'before')).status).toBe(200);
    await host('deactivate');
    expect((await sendFrom(kept, 'meanwhile')).status).toBe(200);
    await bob.waitForMessage('meanwhile');

    const { status, json } = await sendFrom(taken, 'lost');
    expect([status, json()['code']]).toEqual(refusal);
    const down = await gateway.waitForLine('component stream down');
    expect(down['reason']).toContain(taken);
    // All or nothing: a gateway is ready when each of its domains has proven itself.
    const refused = await sendFrom(kept, 'refused');
    expect([refused.status, refused.json()['code']]).toEqual([503, 'xmpp-unavailable']);

    await host('activate');
    await gateway.waitUntilReady();
    for (const domain of [taken, kept]) {
      expect((await sendFrom(domain, `after-${domain}`)).status).toBe(200);
      await bob.waitForMessage(`after-${domain}`);
    }
  });

  test('without any message /readyz says so, with its name, and gets well by itself', async () => {
    await start(1000);
    await host('deactivate');
    // Prosody answers for it after more than a second, so at first it may be named as silent.
    await waitUntil(
      async () => {
        const { status, json } = await readyz();
        return status === 503 && String(json()['reason']).includes(`domain ${taken}`);
      },
      { label: '503 with the domain from /readyz' },
    );
    await host('activate');
    await gateway.waitUntilReady();
    expect((await sendFrom(taken, 'well')).status).toBe(200);
  });
});
