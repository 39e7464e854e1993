import { Agent } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post } from '../support/clients/http.ts';
import { type FaultProxy, startProxy } from '../support/doubles/fault-proxy.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { hangMs, waitUntil } from '../support/system/wait.ts';

const messages = '/api/1.0/xmppdomains/example.org/gateway/messages';
const body = '{"to": "bob@example.org", "body": "hello"}';

interface Attempt {
  readonly user: string;
  readonly password: string;
  /** Posts to the URL of the API accounts. */
  readonly isApi?: boolean;
  /** The client's, in 127.0.0.0/8; default 127.0.0.1. */
  readonly address?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const agents = new Map<string, Agent>();
function agentAt(address: string): Agent {
  const known = agents.get(address);
  if (known !== undefined) return known;
  const agent = new Agent({ localAddress: address, keepAlive: true });
  agents.set(address, agent);
  return agent;
}
afterAll(() => {
  for (const agent of agents.values()) agent.destroy();
});

const statusCounts = (answers: readonly HttpAnswer[]): Record<number, number> => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe.each(servers)('a flood of logins on $kind', ({ start }) => {
  let server: XmppServer;
  let proxy: FaultProxy;
  let gateway: GatewayProcess | undefined;

  beforeAll(async () => {
    server = await start();
    for (const user of ['bob', 'bot', 'carol']) await server.register(user, `${user}-secret`);
    proxy = await startProxy(server.c2sPort);
  });
  afterAll(async () => {
    await proxy?.stop();
    await server?.stop();
  });
  afterEach(() => gateway?.stop());

  /** A gateway that has counted nothing yet and whose password checks go through the proxy. */
  async function startGateway(auth: object = {}): Promise<void> {
    const config = { auth: { timeout_ms: hangMs, ...auth }, c2s: { port: proxy.port } };
    gateway = await startGatewayProcess({ config: gatewayConfig(server, config) });
  }
  const logIn = ({ user, password, isApi = false, address = '127.0.0.1', headers = {} }: Attempt) =>
    post(`${gateway?.url}${messages}${isApi ? '/alice' : ''}`, {
      auth: [user, password],
      agent: agentAt(address),
      headers,
      body,
    });
  const rightUser: Attempt = { user: 'bot', password: 'bot-secret' };
  const rightAccount: Attempt = {
    user: apiAccount.username,
    password: apiAccount.password,
    isApi: true,
  };

  test('from one address stays within per_address, over both URLs together', async () => {
    await startGateway();
    const before = proxy.accepted;
    const guesses = Array.from({ length: 300 }, (_, index) =>
      logIn({
        user: `user-${index % 100}`,
        password: `guess-${index}`,
        isApi: index % 3 === 0,
        // Nobody has made us trust this peer.
        headers: { 'x-forwarded-for': `192.0.2.${index % 250}` },
      }),
    );
    const answers = await Promise.all(guesses);
    expect(statusCounts(answers)).toEqual({ 401: 30, 429: 270 });
    expect(proxy.accepted - before).toBeLessThanOrEqual(30);
    for (const { headers } of answers.filter(({ status }) => status === 429)) {
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
    }
    const failures = gateway?.logLines().filter(({ msg }) => msg === 'login failed') ?? [];
    expect(new Set(failures.map(({ address }) => address))).toEqual(new Set(['127.0.0.1']));
    // Other clients are not affected.
    expect((await logIn({ ...rightUser, address: '127.0.0.2' })).status).toBe(200);
  });

  test('on one user, from many addresses, stays within per_user', async () => {
    await startGateway();
    const before = proxy.accepted;
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        logIn({
          user: ['carol', 'CAROL', 'carol@example.org'][index % 3] ?? '',
          password: `guess-${index}`,
          address: `127.0.1.${index % 40}`,
        }),
      ),
    );
    expect(statusCounts(answers)).toEqual({ 401: 10, 429: 190 });
    expect(proxy.accepted - before).toBe(10);
  });

  test('that goes on does not lock the user out elsewhere for more than one window', async () => {
    const window_ms = 2000;
    await startGateway({ throttle: { per_address: 1_000_000, per_user: 3, window_ms } });
    const state = { isOver: false, lastStatus: 0, guesses: 0 };
    const attack = async (): Promise<void> => {
      while (!state.isOver) {
        state.guesses += 1;
        const password = `guess-${state.guesses}`;
        const { status } = await logIn({ user: 'carol', password, address: '127.0.0.3' });
        state.lastStatus = status;
      }
    };
    const attacks = Array.from({ length: 10 }, attack);
    try {
      await waitUntil(() => state.lastStatus === 429, { label: 'carol to be locked' });
      const carol = { user: 'carol', password: 'carol-secret', address: '127.0.0.4' };
      const locked = await logIn(carol);
      expect(locked.status).toBe(429);
      expect(Number(locked.headers['retry-after'])).toBeLessThanOrEqual(window_ms / 1000);
      // Right, but without the permission.
      await waitUntil(async () => (await logIn(carol)).status === 403, {
        label: 'carol to get in',
        // Rarely enough to be late each time that the failures are counted from zero again.
        stepMs: 200,
      });
    } finally {
      state.isOver = true;
      await Promise.all(attacks);
    }
  });

  test('makes at most 16 connections at once, and each is answered', async () => {
    await startGateway();
    const before = proxy.accepted;
    await proxy.setMode('half-open');
    const logins = Array.from({ length: 60 }, (_, index) =>
      logIn({ user: `user-${index}`, password: 'guess', address: `127.0.2.${index}` }),
    );
    await waitUntil(() => proxy.connections === 16, { label: '16 connections' });
    // All the others have been read by then: they came before it.
    expect((await logIn(rightAccount)).status).toBe(200);
    expect(proxy.connections).toBe(16);
    expect(proxy.accepted - before).toBe(16);
    await proxy.setMode('forward');
    expect(statusCounts(await Promise.all(logins))).toEqual({ 401: 60 });
    expect(proxy.accepted - before).toBe(60);
  });

  test('does no harm to clients whose credentials are remembered', async () => {
    await startGateway();
    const expectSuccess = async (attempt: Attempt): Promise<void> => {
      const answer = await logIn(attempt);
      expect(answer.status, answer.body).toBe(200);
    };
    await expectSuccess(rightUser);
    await expectSuccess(rightAccount);
    const state = { isOver: false, refused: 0 };
    const flood = async (_: unknown, index: number): Promise<void> => {
      for (let count = 0; !state.isOver; count += 1) {
        const user = `user-${index}-${count}`;
        // Of many addresses, so that passwords are checked all the time.
        const address = `127.${1 + index}.${Math.floor(count / 25)}.1`;
        await logIn({ user, password: 'guess', address, isApi: index % 2 === 0 });
        state.refused += 1;
      }
    };
    const floods = Array.from({ length: 16 }, flood);
    await waitUntil(() => state.refused > 50, { label: 'the flood' });
    for (let round = 0; round < 50; round += 1) {
      await expectSuccess(rightUser);
      await expectSuccess(rightAccount);
    }
    state.isOver = true;
    await Promise.all(floods);
  });
});
