import { request as requestHttps } from 'node:https';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  basic,
  type HttpAnswer,
  post,
  type RequestOptions,
  request,
} from '../support/clients/http.ts';
import { find, text } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import {
  caddy,
  nginx,
  type ReverseProxy,
  startReverseProxy,
} from '../support/system/reverse-proxy.ts';
import { waitUntil } from '../support/system/wait.ts';

const messages = '/api/1.0/xmppdomains/example.org/gateway/messages';
const auth = [apiAccount.username, apiAccount.password] as const;

// On one server, because what a proxy does with HTTP does not depend on it.
let site: GatewaySite;

beforeAll(async () => {
  site = await startGatewaySite(startProsody, {}, { http: { trusted_proxies: ['127.0.0.1'] } });
});
afterAll(() => site?.stop());

/** A request with many messages, which are written bit by bit. */
function openBulk({ url, agent }: ReverseProxy) {
  const outgoing = requestHttps(`${url}${messages}/alice`, {
    method: 'POST',
    agent,
    headers: { authorization: basic(...auth), 'content-type': 'application/x-ndjson' },
  });
  let received = '';
  const status = new Promise<number | undefined>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      response.setEncoding('utf8').on('data', (part: string) => {
        received += part;
      });
      response.once('end', () => resolve(response.statusCode));
      response.once('error', reject);
    });
  });
  const answers = (): Record<string, unknown>[] =>
    received
      .split('\n')
      .slice(0, -1)
      .map((answer) => JSON.parse(answer));
  // A test that fails before it waits for the end must not leave a rejection behind.
  status.catch(() => undefined);
  const write = (line: string): Promise<void> =>
    new Promise((resolve) => {
      outgoing.write(line, () => resolve());
    });
  const finish = (others: string): Promise<number | undefined> => {
    outgoing.end(others);
    return status;
  };
  return { answers, write, finish };
}

describe.each([
  { kind: nginx, isDuplex: true },
  // Debian’s Caddy, 2.6, cannot be.
  { kind: caddy, isDuplex: false },
])('the gateway behind $kind.name with deploy/$kind.example', ({ kind, isDuplex }) => {
  let proxy: ReverseProxy;

  beforeAll(async () => {
    proxy = await startReverseProxy(kind, site.gateway.port);
  });
  afterAll(() => proxy?.stop());

  const send = (user: string, options: RequestOptions = {}): Promise<HttpAnswer> =>
    post(`${proxy.url}${messages}/${user}?to=bob@example.org`, {
      auth,
      agent: proxy.agent,
      type: 'text/plain',
      body: 'through a proxy',
      ...options,
    });

  test('sends a message, also from a page of that address', async () => {
    const answer = await send('alice', { headers: { origin: proxy.url } });
    expect(answer.status).toBe(200);
    const { root } = await site.bob.waitForMessage(String(answer.json()['id']));
    expect(text(find(root, 'body')!)).toBe('through a proxy');
  });

  test('gets paths as they were written, and the client’s own address', async () => {
    const sender = `oé-${kind.name.toLowerCase()}@example.org`;
    const user = `o%C3%A9%2D${kind.name}`;
    const answer = await send(user, { headers: { 'x-forwarded-for': '203.0.113.1' } });
    expect(answer.json()).toMatchObject({ from: sender });
    expect((await send('a%2Fb')).status).toBe(404);
    const findLine = () => site.gateway.logLines().find((line) => line['sender'] === sender);
    expect(await waitUntil(findLine, { label: 'its line in the log' })).toMatchObject({
      address: '127.0.0.2',
    });
  });

  test('answers every line of a request over HTTP/1.1', async () => {
    const lines = Array.from({ length: 2000 }, (_, index) => {
      const body = `${index} ${'x'.repeat(500)}`;
      // The server drops it, because bot is not online.
      return `${JSON.stringify({ to: 'bot@example.org', type: 'headline', body })}\n`;
    });
    const bulk = openBulk(proxy);
    for (const line of lines.slice(0, 5)) {
      await bulk.write(line);
      // Once this is answered, the line has been, too, unless the proxy holds it back.
      await send('alice');
    }
    if (isDuplex) await waitUntil(() => bulk.answers().length > 0, { label: 'the first answer' });
    expect(await bulk.finish(lines.slice(5).join(''))).toBe(207);
    expect(bulk.answers().at(-1)).toEqual({ lines: 2000, accepted: 2000, refused: 0 });
    expect(new Set(bulk.answers().map(({ line }) => line)).size).toBe(2001);
  });

  test('below a path, has the page at /docs with its files, and gets paths as they were written', async () => {
    const below = await startReverseProxy(kind, site.gateway.port, true);
    onTestFinished(() => below.stop());
    const { agent } = below;
    const get = (url: string): Promise<HttpAnswer> =>
      request(url, { agent, headers: { accept: 'text/html' } });
    const root = `${below.url}/xmpp/`;
    const { status, headers } = await get(root);
    expect(status).toBe(303);
    const pageUrl = new URL(headers.location ?? '', root).href;
    expect(pageUrl).toBe(`${root}docs`);
    const page = await get(pageUrl);
    expect(page.body).toContain('<html');
    const files = [...page.body.matchAll(/ (?:src|href)="([^"#:]+)"/g)].map(([, file]) => file);
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) {
      const url = new URL(file ?? '', pageUrl).href;
      expect([url, (await get(url)).status]).toEqual([url, 200]);
    }
    const answer = await post(`${root.slice(0, -1)}${messages}/o%C3%A9%2Db?to=bob@example.org`, {
      auth,
      agent,
      type: 'text/plain',
      body: 'below',
    });
    expect(answer.json()).toMatchObject({ status: 'success', from: 'oé-b@example.org' });
    const escaped = await post(`${below.url}/xmpp${messages}/a%2Fb`, { auth, agent });
    expect(escaped.status).toBe(404);
  });
});
