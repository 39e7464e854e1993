import { afterEach, describe, expect, test } from 'vitest';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway.ts';
import { type HttpAnswer, post } from '../support/http.ts';
import { servers } from '../support/servers.ts';
import type { ServerOptions, XmppServer } from '../support/xmpp-server.ts';

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

const body = '{"to": "bob@example.org", "body": "hello"}';

describe.each(servers)('authentication on $kind', ({ start }) => {
  async function startGateway(
    options: ServerOptions,
    settings: (server: XmppServer) => Record<string, unknown> = () => ({}),
  ): Promise<{ server: XmppServer; gateway: GatewayProcess }> {
    const server = await start(options);
    cleanUps.push(server.stop);
    for (const user of ['bob', 'bot', 'mallory']) await server.register(user, `${user}-secret`);
    const gateway = await startGatewayProcess({ config: gatewayConfig(server, settings(server)) });
    cleanUps.push(() => gateway.stop());
    return { server, gateway };
  }

  const postAs = (
    gateway: GatewayProcess,
    auth: readonly [string, string] | string | undefined,
    username = '',
  ): Promise<HttpAnswer> =>
    post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages${username}`, {
      ...(auth === undefined ? {} : { auth: typeof auth === 'string' ? auth : [...auth] }),
      type: 'application/json',
      body,
    });
  const codeOf = (answer: HttpAnswer): unknown =>
    answer.status === 200 ? 200 : (answer.json() as { code: string }).code;

  test('tells who may send', async () => {
    const { gateway } = await startGateway({});
    const cases: [string | undefined | [string, string], unknown][] = [
      [['bot', 'bot-secret'], 200],
      [['bot@example.org', 'bot-secret'], 200],
      [['BOT', 'bot-secret'], 200],
      [['mallory', 'mallory-secret'], 'permission-missing'],
      [['bot', 'wrong'], 'unauthenticated'],
      [['nobody', 'wrong'], 'unauthenticated'],
      [['bot@other.example', 'bot-secret'], 'unauthenticated'],
      [['bot', ''], 'unauthenticated'],
      [['', 'bot-secret'], 'unauthenticated'],
      [['bot', 'bot-secret\u0000'], 'unauthenticated'],
      [undefined, 'unauthenticated'],
      ['Bearer abc', 'unauthenticated'],
      ['Basic !!!', 'unauthenticated'],
    ];
    const details = new Set<unknown>();
    for (const [auth, code] of cases) {
      const answer = await postAs(gateway, auth);
      expect(codeOf(answer), JSON.stringify(auth)).toBe(code);
      if (code !== 'unauthenticated') continue;
      expect(answer.headers['www-authenticate']).toBe('Basic realm="example.org", charset="UTF-8"');
      details.add((answer.json() as { detail: string }).detail);
    }
    expect(details.size).toBe(1);
  });

  test('keeps users off the API URL and API accounts off the user URL', async () => {
    const { gateway } = await startGateway({});
    const { username, password } = apiAccount;
    expect(codeOf(await postAs(gateway, [username, password], '/alice'))).toBe(200);
    expect(codeOf(await postAs(gateway, [username, 'wrong'], '/alice'))).toBe('unauthenticated');
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret'], '/bot'))).toBe('unauthenticated');
    expect(codeOf(await postAs(gateway, [username, password]))).toBe('unauthenticated');
  });

  test('takes UTF-8 and colons in passwords', async () => {
    // ejabberd accepts no characters of after Unicode 3.2 in passwords.
    const password = 'pä:ss wörd:中';
    const { server, gateway } = await startGateway({}, () => ({
      permissions: { xmppgateway: ['*@example.org'] },
    }));
    await server.register('jürgen', password);
    expect(codeOf(await postAs(gateway, ['Jürgen', password]))).toBe(200);
    expect(codeOf(await postAs(gateway, ['jürgen', 'pä:ss wörd']))).toBe('unauthenticated');
  });

  test.each([
    { mechanisms: 'scram', tls: false },
    { mechanisms: 'scram', tls: true },
    { mechanisms: 'plain', tls: true },
  ] as const)('works with $mechanisms alone (TLS: $tls)', async ({ mechanisms, tls }) => {
    const { gateway } = await startGateway({ mechanisms, requireTls: tls }, ({ caFile }) =>
      tls ? { c2s: { security: 'starttls', ca_file: caFile } } : {},
    );
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe(200);
    expect(codeOf(await postAs(gateway, ['bot', 'wrong']))).toBe('unauthenticated');
  });

  test.each([
    ['offers nothing but ANONYMOUS', { mechanisms: 'anonymous' } as const, () => ({})],
    [
      'has a certificate for another name',
      { requireTls: true, certificateDomains: ['other.example'] },
      ({ caFile }: XmppServer) => ({ c2s: { security: 'starttls', ca_file: caFile } }),
    ],
    [
      'has a certificate of an unknown CA',
      { requireTls: true },
      () => ({ c2s: { security: 'starttls' } }),
    ],
    ['offers PLAIN but no TLS', { mechanisms: 'plain' } as const, () => ({})],
  ])(
    'is unavailable, and no password is wrong, when the server %s',
    async (_, options, settings) => {
      const server = await start(options);
      cleanUps.push(server.stop);
      const gateway = await startGatewayProcess({
        config: gatewayConfig(server, settings(server)),
      });
      cleanUps.push(() => gateway.stop());
      for (const password of ['bot-secret', 'wrong']) {
        const answer = await postAs(gateway, ['bot', password]);
        expect(codeOf(answer)).toBe('authentication-unavailable');
        expect(answer.status).toBe(503);
        expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
      }
    },
  );

  test('uses TLS from the first byte when told so', async () => {
    const { gateway } = await startGateway({ directTls: true }, ({ c2sTlsPort, caFile }) => ({
      c2s: { port: c2sTlsPort, security: 'tls', ca_file: caFile },
    }));
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe(200);
  });

  test('throttles wrong passwords and spares the right one', async () => {
    const { gateway } = await startGateway({}, () => ({
      auth: { throttle: { per_address: 100, per_user: 3, window_ms: 60_000 } },
    }));
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe(200);
    const wrong = await Promise.all(
      Array.from({ length: 10 }, (_, i) => postAs(gateway, ['mallory', `wrong ${i}`])),
    );
    const codes = wrong.map(codeOf);
    expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(3);
    expect(codes.filter((code) => code === 'too-many-requests')).toHaveLength(7);
    const refused = wrong.find(({ status }) => status === 429);
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused?.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe(200);
    const failures = gateway.logLines().filter(({ msg }) => msg === 'login failed');
    expect(failures).toHaveLength(3);
    expect(failures[0]).toMatchObject({ address: '127.0.0.1', user: 'mallory' });
  });

  test('a changed password stops working when the cache forgets it', async () => {
    const { server, gateway } = await startGateway({}, () => ({ auth: { cache_ms: 0 } }));
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe(200);
    await server.changePassword('bot', 'new-secret');
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret']))).toBe('unauthenticated');
    expect(codeOf(await postAs(gateway, ['bot', 'new-secret']))).toBe(200);
  });
});
