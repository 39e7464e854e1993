import http from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, test } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { createJid } from '../../../../src/core/jid/jid.ts';
import {
  type Message,
  type Receipt,
  serializeMessage,
} from '../../../../src/core/message/message.ts';
import { createAnswerStore } from '../../../../src/http/idempotency/memory-store.ts';
import { createBodyBudget } from '../../../../src/http/request/body.ts';
import { createRequestRecord } from '../../../../src/http/request/log.ts';
import { answerBulk } from '../../../../src/http/routes/bulk.ts';
import { type HttpAnswer, send } from '../../../support/clients/http.ts';
import { waitUntil } from '../../../support/system/wait.ts';
import { serve } from '../serve.ts';
import {
  basic,
  buildReceipt,
  limits,
  startTestGateway,
  type TestGateway,
  userPath,
} from '../test-gateway.ts';

type Answered = Readonly<Record<string, unknown>>;

let gateway: TestGateway;
let sent: Message[];
/** Answers of the delivery by recipient; all others accept. */
const refusals = new Map<string, Error>();
let stopping: AbortController;

async function deliver(message: Message): Promise<Receipt> {
  const refusal = refusals.get(message.to.toString());
  if (refusal !== undefined) throw refusal;
  sent.push(message);
  return buildReceipt(message);
}

beforeEach(async () => {
  refusals.clear();
  sent = [];
  stopping = new AbortController();
  gateway = await startTestGateway({ deliver, stopping: stopping.signal });
});

const headers = { Authorization: basic('bot'), 'Content-Type': 'application/x-ndjson' };

function post(body: string | Buffer, query = '', own = {}): Promise<HttpAnswer> {
  const request = { method: 'POST', path: userPath + query, headers: { ...headers, ...own }, body };
  return send(gateway.port, request);
}

function readLines(text: string): Answered[] {
  expect(text).toMatch(/\n$/);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A request whose body is written piece by piece, and whose answer is read as it comes. */
function open(own = {}) {
  const request = http.request({
    port: gateway.port,
    method: 'POST',
    path: userPath,
    headers: { ...headers, ...own },
  });
  let text = '';
  const status = new Promise<number | undefined>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      resolve(response.statusCode);
    });
  });
  const waitForLines = (count: number): Promise<unknown> =>
    waitUntil(() => text.split('\n').length > count, { label: `${count} lines in "${text}"` });
  return { request, status, lines: () => readLines(text), waitForLines };
}

const line = (to: string, more: object = {}): string =>
  `${JSON.stringify({ to, body: 'x', ...more })}\n`;

describe('a request with many lines', () => {
  it('gets an answer to each line, and the counts', async () => {
    refusals.set('nobody@example.org', new GatewayError('bounced', 'No such user.'));
    const body = [
      line('bob@example.org'),
      '\r\n',
      line('nobody@example.org').replace('\n', '\r\n'),
      '{"to":\n',
      '\xff\n',
      '  \n',
      line('bob'),
      line('bob@example.org', { id: '7', subject: 's' }).trimEnd(),
    ].join('');
    const answer = await post(Buffer.from(body, 'latin1'));
    expect(answer.status).toBe(207);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
    });
    const lines = readLines(answer.body);
    expect(lines.at(-1)).toEqual({ lines: 6, accepted: 2, refused: 4 });
    const byNumber = lines.slice(0, -1).toSorted((a, b) => Number(a['line']) - Number(b['line']));
    expect(byNumber).toMatchObject([
      { line: 1, status: 200, to: 'bob@example.org', confirmed: 'server' },
      { line: 3, status: 502, code: 'bounced', detail: 'No such user.' },
      { line: 4, status: 400, code: 'malformed-body' },
      { line: 5, status: 400, code: 'malformed-body' },
      { line: 7, status: 422, code: 'invalid-message' },
      { line: 8, status: 200, id: '7' },
    ]);
    expect(sent.map(({ caller }) => caller)).toEqual(Array(2).fill('user bot@example.org (bulk)'));
    expect(gateway.logLines).toContainEqual(
      expect.objectContaining({
        msg: 'request',
        status: 207,
        code: 'partial',
        lines: 6,
        accepted: 2,
      }),
    );
  });

  it('may have none', async () => {
    for (const body of ['', '\n\n']) {
      expect(readLines((await post(body)).body)).toEqual([{ lines: 0, accepted: 0, refused: 0 }]);
    }
  });

  it('skips a line over the limit and nothing else', async () => {
    const long = line('bob@example.org', { subject: 'x'.repeat(10_000) });
    const lines = readLines((await post(long + line('bob@example.org') + long)).body);
    const statuses = lines.map(({ line: number, status }) => `${String(number)} ${String(status)}`);
    expect(statuses.toSorted()).toEqual(['1 413', '2 200', '3 413', 'undefined undefined']);
  });

  it('answers before the next line is there', async () => {
    const { request, status, lines, waitForLines } = open();
    request.write(line('bob@example.org') + line('carol@example.org').slice(0, 10));
    expect(await status).toBe(207);
    await waitForLines(1);
    expect(lines()).toMatchObject([{ line: 1, status: 200 }]);
    request.end(line('carol@example.org').slice(10));
    await waitForLines(3);
    expect(lines()[1]).toMatchObject({ line: 2, to: 'carol@example.org' });
  });

  it('has a list in a line', async () => {
    const body = `${JSON.stringify({ to: ['bob@example.org', 'carol@example.org'] })}\n`;
    const [first] = readLines((await post(body)).body);
    expect(first).toMatchObject({
      line: 1,
      status: 200,
      results: [{ status: 200 }, { status: 200 }],
    });
  });

  it('shows the stanzas in a dry run', async () => {
    const [first] = readLines((await post(line('bob@example.org'), '?dry_run=true')).body);
    expect(first).toMatchObject({
      line: 1,
      status: 200,
      stanza: expect.stringMatching(/^<message /),
    });
    expect(sent).toEqual([]);
  });

  it('has a key in each line', async () => {
    refusals.set('carol@example.org', new GatewayError('xmpp-unavailable', 'Down.'));
    const body =
      line('bob@example.org', { idempotency_key: 'a' }) +
      line('carol@example.org', { idempotency_key: 'b' }) +
      line('dave@example.org', { idempotency_key: '' });
    const statuses = async (): Promise<unknown[]> =>
      readLines((await post(body)).body)
        .slice(0, -1)
        .toSorted((a, b) => Number(a['line']) - Number(b['line']))
        .map(({ status }) => status);
    expect(await statuses()).toEqual([200, 503, 422]);
    refusals.clear();
    expect(await statuses()).toEqual([200, 200, 422]);
    expect(sent.map(({ to }) => to.toString())).toEqual(['bob@example.org', 'carol@example.org']);
    expect(sent[0]?.children.at(-1)).toMatchObject({ name: 'origin-id' });
    const own = { 'Idempotency-Key': 'a' };
    expect((await post(body, '', own)).json()).toMatchObject({ code: 'invalid-message' });
  });

  it.each(['?to=bob@example.org', '?template=slack', '?x=1'])(
    'refuses the query %s',
    async (query) => {
      expect((await post('', query)).json()).toMatchObject({
        status: 422,
        code: 'invalid-message',
      });
    },
  );

  it('reads no further than its answers are known', async () => {
    const settle: (() => void)[] = [];
    gateway = await startTestGateway({
      deliver: async (message) => {
        await new Promise<void>((resolve) => void settle.push(resolve));
        return deliver(message);
      },
    });
    const { request, waitForLines } = open();
    request.end(line('bob@example.org').repeat(1000));
    await waitUntil(() => settle.length === 256, { label: '256 messages on their way' });
    settle[0]?.();
    await waitForLines(1);
    await waitUntil(() => settle.length === 257, { label: 'one more' });
    for (let next = 1; next < 1000; next += 1) {
      await waitUntil(() => settle.length > next, { label: `message ${next}` });
      settle[next]?.();
    }
    await waitForLines(1001);
  });

  it('makes no more answers than its client takes', async () => {
    const counts = { shown: 0, taken: 0, most: 0 };
    const ports = {
      limits,
      bodyBudget: createBodyBudget(),
      log: pino({ level: 'silent' }),
      isForRoom: () => false,
      buildStanza: (message: Message) => {
        const stanza = serializeMessage(message, limits);
        counts.shown += stanza.bytes;
        counts.most = Math.max(counts.most, counts.shown - counts.taken);
        return stanza;
      },
      deliver,
      confirmTimeoutMs: 30_000,
      answers: createAnswerStore(),
      stopping: stopping.signal,
    };
    const context = {
      from: createJid('bot', 'example.org'),
      caller: 'user bot@example.org',
      limits,
      componentDomain: 'gateway.example.org',
      servedDomains: new Set(['example.org']),
    };
    const answer = async (req: http.IncomingMessage, res: http.ServerResponse): Promise<void> => {
      const record = createRequestRecord('127.0.0.1');
      const { parts } = answerBulk(ports, { req, record, context, isDryRun: true });
      for await (const part of parts) {
        // As long as the client does not take the part, the reading must come to a stop.
        for (let turn = 0; turn < 100; turn += 1) await setImmediate();
        counts.taken += part.length;
      }
      res.end();
    };
    const { port } = await serve((req, res) => void answer(req, res));
    const to = Array.from({ length: 8 }, (_, index) => `bob@example.org/${index}`);
    const body = `${JSON.stringify({ to, body: 'x'.repeat(4000) })}\n`.repeat(256);
    await send(port, { method: 'POST', path: '/', headers: {}, body });
    expect(counts.shown).toBeGreaterThan(8 * 1024 * 1024);
    expect(counts.most).toBeLessThan(4 * 1024 * 1024);
  });

  it('reads no further line when the gateway stops', async () => {
    const { request, lines, waitForLines } = open();
    request.write(line('bob@example.org'));
    await waitForLines(1);
    stopping.abort();
    await waitForLines(2);
    expect(lines()[1]).toEqual({ lines: 1, accepted: 1, refused: 0 });
    request.destroy();
  });

  it('may take longer than other requests, as long as it moves', async () => {
    gateway = await startTestGateway({ deliver }, { requestMs: 100, headersMs: 100, checkMs: 10 });
    const { request, waitForLines } = open();
    const startedMs = performance.now();
    for (let count = 1; performance.now() - startedMs < 400; count += 1) {
      request.write(line('bob@example.org'));
      await waitForLines(count);
    }
    request.end();
    await waitForLines(2);
    await waitUntil(() => gateway.logLines.some(({ status }) => status === 207), {
      label: 'the end',
    });
  });

  it('does not give way to other connections while a line is on its way', async () => {
    const settle: (() => void)[] = [];
    const held = async (message: Message): Promise<Receipt> => {
      await new Promise<void>((resolve) => void settle.push(resolve));
      return deliver(message);
    };
    gateway = await startTestGateway({ deliver: held }, { connections: 1 });
    const { request, waitForLines } = open();
    request.write(line('bob@example.org'));
    await waitUntil(() => settle.length === 1, { label: 'a message on its way' });
    await expect(post('')).rejects.toThrow(/ECONNRESET|socket hang up/);
    settle[0]?.();
    await waitForLines(1);
    request.end();
    await waitForLines(2);
  });

  it('is logged when its client goes away', async () => {
    const { request, waitForLines } = open();
    request.write(line('bob@example.org'));
    await waitForLines(1);
    request.destroy();
    const expected = expect.objectContaining({
      msg: 'request',
      code: 'aborted',
      lines: 1,
      accepted: 1,
    });
    await waitUntil(() => gateway.logLines.some((entry) => expected.asymmetricMatch(entry)), {
      label: 'the log line',
    });
  });
});

test('a bug in one line is a 500 of that line', async () => {
  refusals.set('bob@example.org', new Error('a bug'));
  const lines = readLines((await post(line('bob@example.org') + line('eve@example.org'))).body);
  expect(lines).toMatchObject([
    { line: 1, status: 500, code: 'internal' },
    { line: 2, status: 200 },
    { lines: 2, accepted: 1, refused: 1 },
  ]);
  expect(gateway.logLines).toContainEqual(expect.objectContaining({ msg: 'internal error' }));
});
