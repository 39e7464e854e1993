import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type HttpAnswer, post } from '../support/clients/http.ts';
import { startC2sServer } from '../support/doubles/c2s-server.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

const body = '{"to": "bob@example.org", "body": "hello"}';

const postAs = (
  gateway: GatewayProcess,
  auth: readonly [string, string] | string | undefined,
  username = '',
): Promise<HttpAnswer> =>
  post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages${username}`, {
    ...(auth === undefined ? {} : { auth }),
    body,
  });
const codeOf = (answer: HttpAnswer): unknown =>
  answer.status === 200 ? 200 : answer.json()['code'];

describe.each(servers)('authentication on $kind', ({ start }) => {
  // In passwords, ejabberd accepts no characters that are newer than Unicode 3.2.
  const utf8Password = 'pä:ss wörd:中';
  let server: XmppServer;
  /** With the settings that most operators have. */
  let gateway: GatewayProcess;

  beforeAll(async () => {
    server = await start({ directTls: true });
    for (const user of ['bob', 'bot', 'mallory']) await server.register(user, `${user}-secret`);
    await server.register('jürgen', utf8Password);
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, {
        permissions: { xmppgateway: ['bot@example.org', 'jürgen@example.org'] },
      }),
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
  });

  test('tells who may send', async () => {
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
      details.add(answer.json()['detail']);
    }
    expect(details.size).toBe(1);
  });

  test('keeps users off the API URL and API accounts off the user URL', async () => {
    const { username, password } = apiAccount;
    expect(codeOf(await postAs(gateway, [username, password], '/alice'))).toBe(200);
    expect(codeOf(await postAs(gateway, [username, 'wrong'], '/alice'))).toBe('unauthenticated');
    expect(codeOf(await postAs(gateway, ['bot', 'bot-secret'], '/bot'))).toBe('unauthenticated');
    expect(codeOf(await postAs(gateway, [username, password]))).toBe('unauthenticated');
  });

  test('takes UTF-8 and colons in passwords', async () => {
    expect(codeOf(await postAs(gateway, ['Jürgen', utf8Password]))).toBe(200);
    expect(codeOf(await postAs(gateway, ['jürgen', 'pä:ss wörd']))).toBe('unauthenticated');
  });

  describe('with settings of its own', () => {
    let own: GatewayProcess | undefined;
    beforeAll(() => gateway.stop());
    afterEach(() => own?.stop());

    async function startGateway(settings: Readonly<Record<string, unknown>>) {
      own = await startGatewayProcess({ config: gatewayConfig(server, settings) });
      return own;
    }

    test('uses TLS from the first byte when told so', async () => {
      const { c2sTlsPort, caFile } = server;
      const c2s = { port: c2sTlsPort, security: 'tls', ca_file: caFile };
      const direct = await startGateway({ c2s });
      expect(codeOf(await postAs(direct, ['bot', 'bot-secret']))).toBe(200);
      expect(codeOf(await postAs(direct, ['bot', 'wrong']))).toBe('unauthenticated');
    });

    test('is unavailable, and no password is wrong, when the certificate is of an unknown CA', async () => {
      const distrustful = await startGateway({ c2s: { security: 'starttls' } });
      for (const password of ['bot-secret', 'wrong']) {
        const answer = await postAs(distrustful, ['bot', password]);
        expect(codeOf(answer)).toBe('authentication-unavailable');
        expect(answer.status).toBe(503);
        expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
      }
    });

    test('throttles wrong passwords and spares the right one', async () => {
      const throttled = await startGateway({
        auth: { throttle: { per_address: 100, per_user: 3, window_ms: 60_000 } },
      });
      expect(codeOf(await postAs(throttled, ['bot', 'bot-secret']))).toBe(200);
      const wrong = await Promise.all(
        Array.from({ length: 10 }, (_, i) => postAs(throttled, ['mallory', `wrong ${i}`])),
      );
      const codes = wrong.map(codeOf);
      expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(3);
      expect(codes.filter((code) => code === 'too-many-requests')).toHaveLength(7);
      const refused = wrong.find(({ status }) => status === 429);
      expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(refused?.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect(codeOf(await postAs(throttled, ['bot', 'bot-secret']))).toBe(200);
      const readFailures = () => throttled.logLines().filter(({ msg }) => msg === 'login failed');
      await waitUntil(() => readFailures().length >= 3, { label: 'their lines in the log' });
      const failures = readFailures();
      expect(failures).toHaveLength(3);
      expect(failures[0]).toMatchObject({ address: '127.0.0.1', user: 'mallory' });
    });

    test('counts a password that several mechanisms refuse as one failure', async () => {
      const c2s = await startC2sServer({
        mechanisms: ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1'],
        users: { bot: 'bot-secret', mallory: 'mallory-secret' },
        stored: { bot: 'sha1', mallory: 'sha1' },
      });
      onTestFinished(c2s.stop);
      const throttled = await startGateway({
        c2s: { port: c2s.port, security: 'plaintext' },
        auth: { throttle: { per_address: 100, per_user: 2, window_ms: 60_000 } },
      });
      const codes: unknown[] = [];
      for (const [user, password] of [
        ['mallory', 'wrong 1'],
        ['mallory', 'wrong 2'],
        ['mallory', 'wrong 3'],
        ['bot', 'bot-secret'],
      ] as const) {
        codes.push(codeOf(await postAs(throttled, [user, password])));
      }
      expect(codes).toEqual(['unauthenticated', 'unauthenticated', 'too-many-requests', 200]);
      expect(c2s.text.match(/<auth /g)).toHaveLength(3 * 3);
      expect(c2s.accepted).toBe(3);
    });

    test('a changed password stops working when the cache forgets it', async () => {
      const forgetful = await startGateway({ auth: { cache_ms: 1000 } });
      expect(codeOf(await postAs(forgetful, ['bot', 'bot-secret']))).toBe(200);
      await server.changePassword('bot', 'new-secret');
      expect(codeOf(await postAs(forgetful, ['bot', 'new-secret']))).toBe(200);
      await waitUntil(
        async () => codeOf(await postAs(forgetful, ['bot', 'bot-secret'])) === 'unauthenticated',
        { label: 'the old password to be wrong' },
      );
    });
  });
});
