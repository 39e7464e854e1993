import { describe, expect, it, vi } from 'vitest';
import { createPermissions } from '../../../src/auth/permissions.ts';
import { GatewayError } from '../../../src/core/errors.ts';
import type { Message, Receipt } from '../../../src/core/message/message.ts';
import { send } from '../../support/clients/http.ts';
import { connectRaw } from '../../support/clients/http-connection.ts';
import { apiPath, basic, goodHeaders, startTestGateway, userPath } from './test-gateway.ts';

const good = {
  method: 'POST',
  path: apiPath,
  headers: goodHeaders,
  body: '{"to": "nurse@host.example", "body": "secret-body"}',
};

describe('an unexpected error', () => {
  it.each([
    new TypeError('secret-1'),
    Object.assign(new Error('secret-1'), { status: 404, expose: true, headers: { 'X-Leak': '1' } }),
    'secret-1',
    null,
  ])('is reported as internal, leaks nothing and is logged: %s', async (thrown) => {
    const printed = vi.spyOn(console, 'error');
    const { port, logLines } = await startTestGateway({ deliver: () => Promise.reject(thrown) });
    const answer = await send(port, good);
    expect(answer).toMatchObject({
      status: 500,
      headers: { 'content-type': 'application/problem+json' },
    });
    expect(answer.body + JSON.stringify(answer.headers)).not.toMatch(/secret-1|x-leak/);
    const instance: string = JSON.parse(answer.body).instance;
    expect(logLines).toContainEqual(
      expect.objectContaining({ level: 50, request: instance.replace('urn:uuid:', '') }),
    );
    expect(printed).not.toHaveBeenCalled();
  });
});

describe('the log', () => {
  it('holds one line for a message', async () => {
    const { port, logLines } = await startTestGateway();
    await send(port, good);
    expect(logLines).toEqual([
      expect.objectContaining({
        level: 30,
        msg: 'request',
        method: 'POST',
        route: 'api',
        status: 200,
        code: 'ok',
        sender: 'juliet@example.org',
        recipientDomain: 'host.example',
        address: '127.0.0.1',
        request: expect.stringMatching(/^[0-9a-f-]{36}$/),
        durationMs: expect.any(Number),
      }),
    ]);
  });

  it('holds one line for a refusal, with the instance of its problem', async () => {
    const { port, logLines } = await startTestGateway();
    const answer = await send(port, { ...good, headers: { Authorization: basic('bot', 'no') } });
    const { instance } = JSON.parse(answer.body);
    expect(logLines).toHaveLength(1);
    expect(logLines[0]).toMatchObject({ level: 30, status: 401, code: 'unauthenticated' });
    expect(`urn:uuid:${String(logLines[0]?.['request'])}`).toBe(instance);
  });

  it('has the code of a problem that is replayed', async () => {
    const error = new GatewayError('bounced', 'No such user.', {
      stanzaError: { condition: 'item-not-found', type: 'cancel', text: undefined },
    });
    const observed: string[] = [];
    const { port, logLines } = await startTestGateway({
      deliver: () => Promise.reject(error),
      observeRequest: (_endpoint, code) => observed.push(code),
    });
    const request = { ...good, headers: { ...good.headers, 'Idempotency-Key': 'k' } };
    for (const isReplayed of [undefined, 'true']) {
      const answer = await send(port, request);
      expect(answer.headers['idempotency-replayed']).toBe(isReplayed);
    }
    const bounced = expect.objectContaining({ status: 404, code: 'bounced' });
    expect(logLines).toEqual([bounced, bounced]);
    expect(observed).toEqual(['bounced', 'bounced']);
  });

  const grants = { current: new Set<string>(), set: async () => true };
  const acl = '/api/1.0/xmppdomains/example.org/users/nurse/acl';
  const as = (account: string): object => ({
    headers: { ...goodHeaders, Authorization: basic(account) },
  });
  const change = (isGranted: unknown): object => ({
    method: 'PUT',
    path: acl,
    body: JSON.stringify({ acl: { xmppgateway: isGranted } }),
    ...as('manager'),
  });
  const two = { ...good, body: '{"to": ["a@host.example", "b@other.example"], "body": "x"}' };
  const refusing = async ({ to, id, from }: Message): Promise<Receipt> => {
    if (to.local === 'b') throw new GatewayError('overloaded', 'Later.');
    return { id, from, to, mode: 'plain', confirmed: 'server' };
  };

  it.each<[string, object, Record<string, unknown>]>([
    [
      'a message of an API account',
      good,
      {
        account: 'bot',
        action: 'send',
        sender: 'juliet@example.org',
        recipientDomain: 'host.example',
        code: 'ok',
      },
    ],
    [
      'a message of a user',
      { ...good, path: userPath },
      { action: 'send', sender: 'bot@example.org', recipientDomain: 'host.example', code: 'ok' },
    ],
    [
      'a sender that is not permitted',
      { ...good, path: `${userPath}/romeo` },
      { account: 'bot', action: 'send', sender: 'romeo@example.org', code: 'sender-not-allowed' },
    ],
    [
      'a user who is not permitted',
      { ...good, path: userPath, ...as('stranger') },
      { action: 'send', sender: 'stranger@example.org', code: 'permission-missing' },
    ],
    [
      'wrong credentials',
      { ...good, headers: { ...goodHeaders, Authorization: basic('bot', 'no') } },
      { action: 'send', code: 'unauthenticated' },
    ],
    [
      'a list',
      two,
      {
        account: 'bot',
        action: 'send',
        sender: 'juliet@example.org',
        recipients: 2,
        accepted: 1,
        refused: 1,
        code: 'partial',
      },
    ],
    [
      'a dry run of lines',
      {
        ...good,
        path: `${apiPath}?dry_run=true`,
        body: `${good.body}\n{}\n`,
        headers: { ...goodHeaders, 'Content-Type': 'application/x-ndjson' },
      },
      {
        account: 'bot',
        action: 'send',
        sender: 'juliet@example.org',
        dryRun: true,
        lines: 2,
        accepted: 1,
        refused: 1,
        code: 'partial',
      },
    ],
    [
      'a grant',
      change(true),
      { account: 'manager', action: 'grant', target: 'nurse@example.org', code: 'ok' },
    ],
    [
      'a revocation',
      change(false),
      { account: 'manager', action: 'revoke', target: 'nurse@example.org', code: 'ok' },
    ],
    [
      'a change that makes no sense',
      change('yes'),
      { account: 'manager', target: 'nurse@example.org', code: 'invalid-message' },
    ],
    [
      'a look at permissions',
      { path: acl, ...as('manager') },
      { account: 'manager', action: 'show', target: 'nurse@example.org', code: 'ok' },
    ],
    [
      'an account that may not manage',
      { path: acl, ...as('bot') },
      { account: 'bot', target: 'nurse@example.org', code: 'management-not-allowed' },
    ],
  ])('says who did what: %s', async (_, request, expected) => {
    const { port, logLines } = await startTestGateway({
      permissions: createPermissions([], grants),
      deliver: refusing,
    });
    await send(port, request);
    const [line = {}] = await vi.waitUntil(() => logLines.length > 0 && logLines);
    const told = ['level', 'time', 'pid', 'hostname', 'msg', 'request', 'method', 'route'];
    const others = ['status', 'address', 'durationMs'];
    const names = Object.keys(line).filter((name) => ![...told, ...others].includes(name));
    expect(Object.fromEntries(names.map((name) => [name, line[name]]))).toEqual(expected);
  });

  it('says once that the header of an unlisted proxy is ignored, and what to add', async () => {
    const { port, logLines } = await startTestGateway({ trustedProxies: ['10.0.0.1'] });
    const request = { ...good, headers: { ...good.headers, 'X-Forwarded-For': '203.0.113.1' } };
    await send(port, request);
    await send(port, request);
    const [warning, ...others] = logLines.filter(({ msg }) => msg !== 'request');
    expect(others).toEqual([]);
    expect(warning).toMatchObject({
      level: 40,
      msg: 'X-Forwarded-For ignored',
      address: '127.0.0.1',
      advice: expect.stringContaining('http: {trusted_proxies: ["127.0.0.1"]}'),
    });
  });

  it('says that an answer is replayed', async () => {
    const { port, logLines } = await startTestGateway();
    const request = { ...good, headers: { ...good.headers, 'Idempotency-Key': 'k' } };
    await send(port, request);
    await send(port, request);
    expect(logLines.map(({ code, replayed }) => [code, replayed])).toEqual([
      ['ok', undefined],
      ['ok', true],
    ]);
  });

  it('says why a message could not be sent', async () => {
    const error = new GatewayError('xmpp-unavailable', 'No stream.');
    const { port, logLines } = await startTestGateway({ deliver: () => Promise.reject(error) });
    await send(port, good);
    expect(logLines).toEqual([
      expect.objectContaining({ status: 503, code: 'xmpp-unavailable', reason: 'No stream.' }),
    ]);
  });

  it('holds no credentials, body, query or recipient', async () => {
    const { port, logLines } = await startTestGateway();
    const headers = { ...goodHeaders, Authorization: basic('bot', 'secret-password') };
    for (const request of [
      good,
      { ...good, headers },
      { ...good, path: `${apiPath}?secret-query` },
    ]) {
      await send(port, request);
    }
    expect(logLines).toHaveLength(3);
    expect(JSON.stringify(logLines)).not.toMatch(/secret|nurse/);
    expect(JSON.stringify(logLines)).not.toContain(headers.Authorization.slice(6));
  });

  it('mentions health checks at debug only', async () => {
    const { port, logLines } = await startTestGateway();
    for (const path of ['/livez', '/readyz', '/problems/bounced']) await send(port, { path });
    expect(logLines.map(({ level }) => level)).toEqual([20, 20, 20]);
  });

  it('notes a client that disconnected', async () => {
    const { port, logLines, delivered } = await startTestGateway();
    const raw = await connectRaw(port);
    const { Authorization } = goodHeaders;
    raw.write(`POST ${userPath} HTTP/1.1\r\nHost: h\r\nAuthorization: ${Authorization}\r\n`);
    raw.write(
      'Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n',
    );
    await raw.answer();
    raw.destroy();
    await vi.waitFor(() => expect(logLines).toHaveLength(1));
    expect(logLines[0]).toMatchObject({ code: 'aborted', sender: 'bot@example.org' });
    expect((await send(port, good)).status).toBe(200);
    expect(delivered).toHaveLength(1);
  });
});

describe('the client address', () => {
  it.each([
    [[], '127.0.0.1'],
    [['127.0.0.0/8'], '203.0.113.7'],
  ])('with the trusted proxies %j', async (trustedProxies, address) => {
    const { port, addresses, logLines } = await startTestGateway({ trustedProxies });
    const headers = { ...goodHeaders, 'X-Forwarded-For': '1.1.1.1, 203.0.113.7' };
    await send(port, { ...good, headers });
    expect(addresses).toEqual([address]);
    expect(logLines[0]).toMatchObject({ address });
  });
});

function buildRequest(path: string): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: ${goodHeaders.Authorization}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${good.body.length}\r\n\r\n${good.body}`
  );
}

describe('one connection', () => {
  it('carries pipelined messages and refusals in order', async () => {
    const { port, delivered } = await startTestGateway();
    const raw = await connectRaw(port);
    const paths = [userPath, '/nowhere', apiPath, `${apiPath}?x`, userPath];
    raw.write(paths.map(buildRequest).join(''));
    const statuses: number[] = [];
    for (const _ of paths) statuses.push((await raw.answer()).status);
    expect(statuses).toEqual([200, 404, 200, 422, 200]);
    expect(delivered.map(({ from }) => from.local)).toEqual(['bot', 'juliet', 'bot']);
    raw.destroy();
  });

  it('stays open after a body that was refused unread', async () => {
    const { port } = await startTestGateway();
    const raw = await connectRaw(port);
    const body = 'x'.repeat(1_000_000);
    for (let round = 0; round < 2; round += 1) {
      raw.write(`POST ${userPath} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`);
      expect((await raw.answer()).status).toBe(401);
      raw.write(body);
    }
    expect(raw.isClosed()).toBe(false);
    raw.destroy();
  });
});
