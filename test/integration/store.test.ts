import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import { find, text } from '../support/clients/stanza.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { type Certificates, createCertificates } from '../support/system/certificates.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { type RedisServer, startRedis } from '../support/system/redis.ts';
import { waitUntil } from '../support/system/wait.ts';

const components = ['one', 'two'].map((name) => ({
  domain: `${name}.gateway.example.org`,
  secret: `${name}-component-secret`,
}));

const auth = [apiAccount.username, apiAccount.password] as const;

describe.each(servers)('two gateways that share a store on $kind', ({ start }) => {
  let folder: string;
  let certificates: Certificates;
  let redis: RedisServer;
  let server: XmppServer;
  let gateways: GatewayProcess[];
  let bob: Session;

  const storeTls = (): object => ({
    ca_file: certificates.caFile,
    cert_file: certificates.certFile,
    key_file: certificates.keyFile,
  });
  const startGateway = (index: number): Promise<GatewayProcess> =>
    startGatewayProcess({
      config: gatewayConfig(server, {
        component: { ...server.components[index] },
        auth: { throttle: { per_user: 4 } },
        // The second one reaches it with TLS.
        ...(index === 0 ? { store: redis.url } : { store: redis.tlsUrl(), store_tls: storeTls() }),
      }),
    });

  beforeAll(async () => {
    folder = createDirectory('store-tls');
    certificates = await createCertificates(folder, ['redis.example']);
    redis = await startRedis({ certificates });
    server = await start({ components });
    await server.register('bob', 'bob-secret');
    await server.register('bot', 'bot-secret');
    gateways = await Promise.all([startGateway(0), startGateway(1)]);
    bob = await openSessionOn(server, 'bob', 'bob-secret');
    await untilShared();
  });
  afterAll(async () => {
    bob?.destroy();
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await server?.stop();
    await redis?.stop();
    removeDirectory(folder);
  });

  const urlOf = (index: number): string => gateways[index]?.url ?? '';
  const send = (index: number, key: string | undefined, body = 'x'): Promise<HttpAnswer> =>
    post(`${urlOf(index)}/api/1.0/xmppdomains/example.org/gateway/messages/alice`, {
      auth,
      body: JSON.stringify({ to: 'bob@example.org', body }),
      headers: key === undefined ? {} : { 'idempotency-key': key },
    });
  const logIn = (index: number, user: string, password: string): Promise<HttpAnswer> =>
    post(`${urlOf(index)}/api/1.0/xmppdomains/example.org/gateway/messages`, {
      auth: [user, password],
      body: '{"to": "bob@example.org"}',
    });
  const readiness = async (index: number): Promise<Record<string, unknown>> => {
    const answer = await request(`${urlOf(index)}/readyz`);
    return { http: answer.status, ...answer.json() };
  };
  const untilShared = async (): Promise<void> => {
    for (const index of gateways.keys()) {
      await waitUntil(async () => (await readiness(index))['degraded'] === undefined, {
        label: `gateway ${index} to reach the store`,
      });
    }
  };
  const untilDegraded = (index: number): Promise<unknown> =>
    waitUntil(async () => (await readiness(index))['degraded'], { label: 'it to be degraded' });
  const countAtBob = async (body: string): Promise<number> => {
    await bob.settle();
    return bob.received.filter(({ root }) => {
      const found = find(root, 'body');
      return found !== undefined && text(found) === body;
    }).length;
  };
  /** Posts while the XMPP server hangs, lets something happen before the answer, and gives that. */
  const sendSlowly = async (key: string, meanwhile: () => Promise<void>): Promise<HttpAnswer> => {
    await send(0, undefined);
    server.kill('SIGSTOP');
    const answer = send(0, key, `slow ${key}`);
    answer.catch(() => undefined);
    try {
      await waitUntil(async () => (await claims()).length > 0, { label: 'the claim' });
      await meanwhile();
    } finally {
      server.kill('SIGCONT');
    }
    return answer;
  };
  const claims = async (): Promise<string[]> => {
    const keys = await redis.command('KEYS', 'xmpp-message-gateway:answer:*');
    const found = Array.isArray(keys) ? keys.map(String) : [];
    const values = await Promise.all(found.map((key) => redis.command('GET', key)));
    return found.filter((_, index) => !String(values[index]).includes('"answer"'));
  };

  test('send a message once whose key both get at the same time', async () => {
    const keys = Array.from({ length: 10 }, (_, index) => `race-${index}`);
    const statuses = await Promise.all(
      keys.map(async (key) => {
        const answers = await Promise.all([0, 1, 0, 1].map((index) => send(index, key, key)));
        return answers.map(({ status }) => status);
      }),
    );
    for (const [index, key] of keys.entries()) {
      expect(statuses[index]).toContain(200);
      expect(statuses[index]?.every((status) => status === 200 || status === 409)).toBe(true);
      expect(await countAtBob(key)).toBe(1);
    }
  });

  test('give one another’s answers again', async () => {
    const first = await send(0, 'replayed', 'replayed');
    const second = await send(1, '"replayed"', 'replayed');
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body).toBe(first.body);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(await countAtBob('replayed')).toBe(1);
    expect((await send(1, 'replayed', 'another')).json()).toMatchObject({
      code: 'idempotency-mismatch',
    });
  });

  test('count failed logins together', async () => {
    const outcomes: number[] = [];
    for (const index of [0, 1, 0, 1, 0, 1]) {
      outcomes.push((await logIn(index, 'bot', `wrong-${index}`)).status);
    }
    expect(outcomes).toEqual([401, 401, 401, 401, 429, 429]);
    const late = await logIn(1, 'bot', 'wrong');
    expect(Number(late.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(late.headers['retry-after'])).toBeLessThanOrEqual(60);
  });

  test('go on without keys while the store hangs, refuse keys, and recover', async () => {
    redis.kill('SIGSTOP');
    try {
      const refused = await send(0, 'hung', 'hung');
      expect(refused.status).toBe(503);
      expect(refused.json()).toMatchObject({ code: 'store-unavailable' });
      expect(refused.headers['retry-after']).toBeDefined();
      await untilDegraded(1);
      for (const index of [0, 1]) {
        expect(await readiness(index)).toMatchObject({
          http: 200,
          status: 'ready',
          degraded: expect.stringContaining('no answer within'),
        });
        expect((await send(index, undefined)).status).toBe(200);
        expect((await send(index, 'hung', 'hung')).status).toBe(503);
      }
    } finally {
      redis.kill('SIGCONT');
    }
    expect(await countAtBob('hung')).toBe(0);
    await untilShared();
    // The claim of the first try was withdrawn: nobody is told that it is in progress.
    await waitUntil(async () => (await claims()).length === 0, { label: 'no claim' });
    const answer = await send(1, 'hung', 'hung');
    expect(answer.status).toBe(200);
    expect(answer.headers['idempotency-replayed']).toBeUndefined();
    expect(await countAtBob('hung')).toBe(1);
  });

  test('count failed logins alone while the store is gone', async () => {
    await redis.halt('SIGKILL');
    await Promise.all([untilDegraded(0), untilDegraded(1)]);
    const outcomes: number[] = [];
    for (const index of [0, 0, 0, 0, 0, 1]) {
      outcomes.push((await logIn(index, 'carol', 'wrong')).status);
    }
    expect(outcomes).toEqual([401, 401, 401, 401, 429, 401]);
    await redis.resume();
    await untilShared();
  });

  test('remember an answer that was given while the store was gone', async () => {
    const answer = await sendSlowly('gone', () => redis.halt('SIGKILL'));
    expect(answer.status).toBe(200);
    expect((await send(1, 'gone', 'slow gone')).status).toBe(503);
    await redis.resume();
    await untilShared();
    await waitUntil(async () => (await claims()).length === 0, { label: 'the answer' });
    const replayed = await send(1, 'gone', 'slow gone');
    expect(replayed.headers['idempotency-replayed']).toBe('true');
    expect(replayed.body).toBe(answer.body);
    expect(await countAtBob('slow gone')).toBe(1);
  });

  test('send again, with the same id, what a gateway that died may have sent', async () => {
    const crash = sendSlowly('crashed', async () => {
      expect((await send(1, 'crashed', 'slow crashed')).json()).toMatchObject({
        code: 'idempotency-in-progress',
      });
      await gateways[0]?.stop('SIGKILL');
    });
    await expect(crash).rejects.toThrow('hang up');
    const [claim = ''] = await claims();
    // Longer than confirm_timeout_ms; the rest of the test takes it as passed.
    expect(await redis.command('PTTL', claim)).toBeGreaterThan(30_000);
    await redis.command('DEL', claim);
    const answer = await send(1, 'crashed', 'slow crashed');
    expect(answer.status).toBe(200);
    await bob.settle();
    const copies = bob.received.filter(({ root }) => {
      const body = find(root, 'body');
      return body !== undefined && text(body) === 'slow crashed';
    });
    const { id } = answer.json() as { id: string };
    expect(copies.length).toBeGreaterThan(0);
    expect(new Set(copies.map(({ root }) => root.attributes['id']))).toEqual(new Set([id]));
    gateways[0] = await startGateway(0);
    await untilShared();
  });

  test('leave no secrets in the store', async () => {
    expect((await logIn(0, 'dora', 'doras-password')).status).toBe(401);
    await send(0, 'no-secrets', 'the text of a message');
    const history = redis.history();
    expect(history).toContain('alice@example.org');
    for (const secret of [
      redis.password,
      apiAccount.password,
      'bot-secret',
      'doras-password',
      'dora',
      'the text of a message',
      '127.0.0.1',
      'no-secrets',
      ...components.map((component) => component.secret),
    ]) {
      expect(history).not.toContain(secret);
    }
    for (const gateway of gateways) expect(gateway.output()).not.toContain(redis.password);
  });
});
