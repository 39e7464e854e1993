import http from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { basic, post } from '../support/clients/http.ts';
import { find, text } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';
import { waitUntil } from '../support/system/wait.ts';

type Answered = Readonly<Record<string, unknown>>;

const path = '/api/1.0/xmppdomains/example.org/gateway/messages/alice';

function line(body: string, more: object = {}): string {
  return `${JSON.stringify({ to: 'bob@example.org', body, ...more })}\n`;
}

describe.each(servers)('many messages in one request on $kind', ({ start }) => {
  let site: GatewaySite;

  beforeEach(async () => {
    site = await startGatewaySite(start);
  });
  afterEach(() => site?.stop());

  /** A request whose lines are written one by one, and whose answer is read as it comes. */
  function open() {
    const request = http.request(`${site.gateway.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: basic(apiAccount.username, apiAccount.password),
        'content-type': 'application/x-ndjson',
      },
    });
    let received = '';
    const ended = new Promise<void>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        response.setEncoding('utf8').on('data', (part: string) => {
          received += part;
        });
        response.once('end', resolve);
        response.once('error', reject);
      });
    });
    const answers = (): Answered[] =>
      received
        .split('\n')
        .slice(0, -1)
        .map((answer) => JSON.parse(answer));
    return { request, ended, answers };
  }

  const bodiesAtBob = (): string[] =>
    site.bob.received.flatMap(({ root }) => {
      const body = root.name === 'message' ? find(root, 'body') : undefined;
      return body === undefined ? [] : [text(body)];
    });

  test('each line gets an answer, and each accepted one arrives once', async () => {
    // Not thousands: a session of ejabberd needs a second for every thousand messages that already wait
    // for it.
    const bodies = Array.from({ length: 600 }, (_, index) => `text ${index}`);
    const lines = bodies.map((body) => line(body));
    lines.splice(200, 0, line('to nobody', { to: 'nobody@conference.invalid' }), 'garbage\n');
    const answer = await post(`${site.gateway.url}${path}`, {
      auth: [apiAccount.username, apiAccount.password],
      type: 'application/x-ndjson',
      body: lines.join(''),
    });
    expect(answer.status).toBe(207);
    const answers = answer.body
      .trimEnd()
      .split('\n')
      .map((it): Answered => JSON.parse(it));
    expect(answers.at(-1)).toMatchObject({ lines: 602 });
    const accepted = answers.filter(({ status }) => status === 200);
    expect(accepted.length).toBeGreaterThanOrEqual(600);
    expect(new Set(answers.map((it) => it['line'])).size).toBe(603);
    await waitUntil(() => bodiesAtBob().length >= 600, { label: 'all messages' });
    await site.bob.settle();
    expect(bodiesAtBob()).toEqual(bodies);
  });

  test('says of each line what became of it when the server goes away in the middle', async () => {
    const { request, ended, answers } = open();
    for (let index = 0; index < 200; index += 1) request.write(line(`before ${index}`));
    await waitUntil(() => answers().length === 200, { label: '200 answers' });
    site.server.kill('SIGSTOP');
    for (let index = 0; index < 50; index += 1) request.write(line(`hung ${index}`));
    // Any other signal would let it go on, and process what it has read.
    await site.server.halt('SIGKILL');
    for (let index = 0; index < 50; index += 1) request.write(line(`away ${index}`));
    request.end();
    await ended;
    const statuses = answers().map(({ status }) => status);
    expect(answers()).toHaveLength(301);
    expect(new Set(statuses)).toEqual(
      new Set([200, 503, 504, undefined].filter((it) => statuses.includes(it as number))),
    );
    expect(answers().at(-1)).toMatchObject({ lines: 300, accepted: 200 });
    await site.server.resume();
  });

  test('a stopping gateway answers what it has read, and says how much that was', async () => {
    const { request, ended, answers } = open();
    request.write(line('first'));
    await waitUntil(() => answers().length === 1, { label: 'the first answer' });
    site.gateway.signal('SIGTERM');
    await ended.catch(() => undefined);
    expect(answers()).toMatchObject([
      { line: 1, status: 200 },
      { lines: 1, accepted: 1 },
    ]);
    expect(await site.gateway.exited).toEqual({ code: 0, signal: null });
    await waitUntil(() => bodiesAtBob().length > 0, { label: 'the message' });
    await site.bob.settle();
    expect(bodiesAtBob()).toEqual(['first']);
  });
});
