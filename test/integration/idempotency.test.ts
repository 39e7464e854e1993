import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post } from '../support/clients/http.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { find, text } from '../support/clients/stanza.ts';
import { readBlocks } from '../support/gateway/recipe.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';
import { createDirectory, removeDirectory, startChild } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

describe.each(servers)('Idempotency-Key on $kind', ({ kind, start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start);
  });
  afterAll(() => site?.stop());

  const send = (key: string, body: object, user = false): Promise<HttpAnswer> =>
    post(
      `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages${user ? '' : '/alice'}`,
      {
        auth: user ? ['bot', 'bot-secret'] : ['alerts', 'alerts-secret'],
        type: 'application/json',
        body: JSON.stringify(body),
        headers: { 'idempotency-key': key },
      },
    );
  const bodiesAtBob = (): string[] =>
    site.bob.received.flatMap(({ root }) => {
      const body = find(root, 'body');
      return body === undefined ? [] : [text(body)];
    });

  test.each([false, true])('sends once and answers again (user URL: %s)', async (user) => {
    const message = { to: 'bob@example.org', body: `once ${user}` };
    const first = await send('key-1', message, user);
    const second = await send('"key-1"', message, user);
    expect(first.status).toBe(200);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect([second.status, second.body]).toEqual([200, first.body]);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    await site.bob.settle();
    expect(bodiesAtBob().filter((body) => body === message.body)).toHaveLength(1);
  });

  test('gives the stanza an id made of caller and key, and an origin-id', async () => {
    const message = { to: 'bob@example.org', body: 'origin' };
    const answer = await send('key-2', message);
    const { id } = answer.json() as { id: string };
    const { root } = await site.bob.waitForMessage(id);
    expect(find(root, 'origin-id', 'urn:xmpp:sid:0')?.attributes).toEqual({ id });
    const other = await send('key-2', message, true);
    expect((other.json() as { id: string }).id).not.toBe(id);
  });

  test('keeps the id that the caller gave', async () => {
    const message = { to: 'bob@example.org', message_attributes: { id: 'mine' }, body: 'x' };
    expect((await send('key-3', message)).json()).toMatchObject({ id: 'mine' });
    const { root } = await site.bob.waitForMessage('mine');
    expect(find(root, 'origin-id')?.attributes).toEqual({ id: 'mine' });
  });

  test('refuses another payload', async () => {
    await send('key-4', { to: 'bob@example.org', body: 'one' });
    const answer = await send('key-4', { to: 'bob@example.org', body: 'two' });
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({ code: 'idempotency-mismatch' });
    expect(bodiesAtBob()).not.toContain('two');
  });

  test('lets one of many at the same time through', async () => {
    const message = { to: 'bob@example.org', body: 'parallel' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => send('key-5', message)));
    const statuses = new Set(answers.map(({ status }) => status));
    expect(statuses.has(200)).toBe(true);
    expect([...statuses].every((status) => status === 200 || status === 409)).toBe(true);
    await site.bob.settle();
    expect(bodiesAtBob().filter((body) => body === 'parallel')).toHaveLength(1);
  });

  test('answers a bounce again', async () => {
    const message = { to: 'nobody@example.org', body: 'x' };
    const first = await send('key-6', message);
    const second = await send('key-6', message);
    expect(first.status).toBe(kind === 'prosody' ? 404 : 200);
    expect([second.status, second.body]).toEqual([first.status, first.body]);
    expect(second.headers['idempotency-replayed']).toBe('true');
  });

  test('is checked after the content', async () => {
    const malformed = 'a b';
    expect((await send(malformed, { to: 'bob@example.org' })).json()).toMatchObject({
      code: 'invalid-message',
      detail: expect.stringContaining('Idempotency-Key'),
    });
    expect((await send(malformed, { to: 1 })).json()).toMatchObject({
      errors: [{ pointer: '/to' }],
    });
  });

  test('does not keep what may pass', async () => {
    const message = { to: 'bob@example.org', body: 'again' };
    await site.server.halt();
    const first = await send('key-7', message);
    // 504 when the gateway had not noticed yet
    expect([503, 504]).toContain(first.status);
    await site.server.resume();
    await site.gateway.waitUntilReady();
    const second = await send('key-7', message);
    expect(second.status).toBe(200);
    expect(second.headers['idempotency-replayed']).toBeUndefined();
  });

  test('makes the documented loop send once, when the server is back', async () => {
    await site.server.halt();
    const cwd = createDirectory('loop');
    const loop = await startChild({ file: 'sh', args: ['-c', readLoop(site.gateway.url)], cwd });
    await waitUntil(
      () => site.gateway.logLines().some(({ route, status }) => route === 'user' && status === 503),
      {
        label: 'a try that failed',
      },
    );
    await site.server.resume();
    expect(await loop.exited).toMatchObject({ code: 0 });
    const { id, status } = JSON.parse(readFileSync(join(cwd, 'answer.json'), 'utf8'));
    removeDirectory(cwd);
    expect(status).toBe('success');
    const bob = await openSessionOn(site.server, 'bob', 'bob-secret');
    const { root } = await bob.waitForMessage(id);
    expect(find(root, 'body')?.children).toEqual(['Backup done']);
    bob.destroy();
  });
});

/** The shell loop of docs/api.md, for the gateway at this URL. */
function readLoop(url: string): string {
  const [loop] = readBlocks('api.md', 'sh').filter((block) => block.startsWith('key='));
  if (loop === undefined) throw new Error('expected a loop in docs/api.md');
  return loop
    .replace('http://127.0.0.1:8080', url)
    .replace('bot:PASSWORD', 'bot:bot-secret')
    .replace('sleep 2', 'sleep 0.2');
}
