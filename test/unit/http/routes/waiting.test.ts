import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import type { Arrival, Message, Receipt } from '../../../../src/core/message/message.ts';
import { type HttpAnswer, send } from '../../../support/clients/http.ts';
import { connectRaw } from '../../../support/clients/http-connection.ts';
import { waitUntil } from '../../../support/system/wait.ts';
import {
  basic,
  buildReceipt,
  startTestGateway,
  type TestGateway,
  userPath,
} from '../test-gateway.ts';

/** The wait for the receipt of one message, ended by the test. */
interface Wait {
  readonly message: Message;
  readonly end: (confirmed: Receipt['confirmed'] | GatewayError) => void;
  late: Parameters<Arrival['onLate']>[0] | undefined;
}

let gateway: TestGateway;
let waits: Wait[];
let onWait: () => void;
/** Recipients of whom no receipt can be had. */
const never = 'never@example.org';

beforeEach(async () => {
  waits = [];
  onWait = () => {};
  gateway = await startTestGateway({
    deliver: async (message) => {
      const receipt = buildReceipt(message);
      if (message.waitMs === undefined || message.to.toString() === never) return receipt;
      const confirmed = new Promise<Receipt['confirmed']>((resolve, reject) => {
        const end: Wait['end'] = (known) =>
          known instanceof GatewayError ? reject(known) : resolve(known);
        waits.push({ message, end, late: undefined });
      });
      confirmed.catch(() => undefined);
      const own = waits.at(-1);
      onWait();
      return {
        ...receipt,
        arrival: {
          confirmed,
          onLate: (callback) => void (own && (own.late = callback)),
          end: () => own?.end('server'),
        },
      };
    },
  });
});

function post(body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
  const lines = Array.isArray(body);
  return send(gateway.port, {
    method: 'POST',
    path: userPath,
    headers: {
      Authorization: basic('bot'),
      'Content-Type': lines ? 'application/x-ndjson' : 'application/json',
      ...headers,
    },
    body: lines ? body.map((it) => `${JSON.stringify(it)}\n`).join('') : JSON.stringify(body),
  });
}

/** Resolves when this many waits have begun. */
function untilWaiting(count: number): Promise<void> {
  return new Promise((resolve) => {
    onWait = () => {
      if (waits.length >= count) resolve();
    };
    onWait();
  });
}

const prefer = { Prefer: 'wait=20' };
const message = { to: 'bob@example.org', body: 'x' };

test.each(['recipient', 'server', 'remote'] as const)('the answer is %s', async (confirmed) => {
  const answer = post(message, prefer);
  await untilWaiting(1);
  expect(waits[0]?.message.waitMs).toBe(20_000);
  waits[0]?.end(confirmed);
  expect((await answer).json()).toMatchObject({ status: 'success', confirmed });
  expect((await answer).headers['preference-applied']).toBe('wait=20');
});

test('a preference that is not applied is not said to be', async () => {
  const answer = await post({ ...message, to: never }, prefer);
  expect(answer.status).toBe(200);
  expect(answer.headers['preference-applied']).toBeUndefined();
});

test('a bounce during the wait is the answer, and so are replays', async () => {
  const headers = { ...prefer, 'Idempotency-Key': 'k' };
  const answer = post(message, headers);
  await untilWaiting(1);
  const stanzaError = { condition: 'gone', type: 'cancel', text: undefined } as const;
  waits[0]?.end(new GatewayError('bounced', 'Gone.', { stanzaError }));
  expect((await answer).status).toBe(404);
  const replay = await post(message, headers);
  expect(replay.status).toBe(404);
  expect(replay.headers['idempotency-replayed']).toBe('true');
});

test('after a bounce that may be temporary, the message is sent again', async () => {
  const headers = { ...prefer, 'Idempotency-Key': 'k' };
  const answer = post(message, headers);
  await untilWaiting(1);
  const stanzaError = { condition: 'resource-constraint', type: 'wait', text: undefined } as const;
  waits[0]?.end(new GatewayError('bounced', 'Full.', { stanzaError }));
  expect((await answer).status).toBe(503);
  const second = post(message, headers);
  await untilWaiting(2);
  waits[1]?.end('recipient');
  expect((await second).json()).toMatchObject({ confirmed: 'recipient' });
});

test('a replay says what is known by then', async () => {
  const headers = { ...prefer, 'Idempotency-Key': 'k' };
  const first = post(message, headers);
  await untilWaiting(1);
  waits[0]?.end('server');
  expect((await first).json()).toMatchObject({ confirmed: 'server' });
  expect((await post(message, headers)).json()).toMatchObject({ confirmed: 'server' });
  waits[0]?.late?.('recipient');
  const replay = await post(message, headers);
  expect(replay.json()).toMatchObject({ confirmed: 'recipient' });
  expect(replay.headers['preference-applied']).toBeUndefined();
  expect(waits).toHaveLength(1);
});

test('a replay says that the message has come back by then', async () => {
  const headers = { ...prefer, 'Idempotency-Key': 'k' };
  const first = post(message, headers);
  await untilWaiting(1);
  waits[0]?.end('server');
  expect((await first).status).toBe(200);
  const stanzaError = { condition: 'gone', type: 'cancel', text: undefined } as const;
  waits[0]?.late?.(new GatewayError('bounced', 'Gone.', { stanzaError }));
  const replay = await post(message, headers);
  expect(replay.status).toBe(404);
  expect(replay.headers['idempotency-replayed']).toBe('true');
});

describe('a caller that hangs up', () => {
  const body = JSON.stringify(message);
  const head = `POST ${userPath} HTTP/1.1\r\nHost: h\r\nAuthorization: ${basic('bot')}\r\nContent-Type: application/json\r\n`;
  const waiting = `${head}Prefer: wait=20\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

  test.each(['destroy', 'reset'] as const)('waits no longer: %s', async (hangUp) => {
    const client = await connectRaw(gateway.port);
    client.write(waiting);
    await untilWaiting(1);
    client[hangUp]();
    await waitUntil(() => gateway.logLines.length > 0, { label: 'the end of the request' });
    expect(gateway.logLines).toMatchObject([{ status: 200 }]);
  });

  test('only halfway gets what is known', async () => {
    const client = await connectRaw(gateway.port);
    client.write(waiting);
    await untilWaiting(1);
    client.end();
    expect((await client.answer()).json()).toMatchObject({ confirmed: 'server' });
  });

  test('waits for none of many lines', async () => {
    const lines = `${JSON.stringify({ ...message, wait: 20 })}\n`.repeat(12);
    const client = await connectRaw(gateway.port);
    const ndjson = head.replace('application/json', 'application/x-ndjson');
    client.write(`${ndjson}Content-Length: ${lines.length}\r\n\r\n${lines}`);
    await untilWaiting(12);
    client.end();
    expect(await client.closed).toContain('{"lines":12,"accepted":12,"refused":0}');
  });

  test('before the wait begins does not wait', async () => {
    const client = await connectRaw(gateway.port);
    client.write(waiting);
    client.end();
    expect((await client.answer()).json()).toMatchObject({ confirmed: 'server' });
  });

  test('is noticed without a listener for each message on its connection', async () => {
    const warnings: string[] = [];
    const onWarning = ({ message: text }: Error): void => void warnings.push(text);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const client = await connectRaw(gateway.port);
    for (let count = 1; count <= 12; count += 1) {
      client.write(waiting);
      await untilWaiting(count);
      waits.at(-1)?.end('recipient');
      expect((await client.answer()).json()).toMatchObject({ confirmed: 'recipient' });
    }
    const to = Array.from({ length: 12 }, (_, index) => `user-${index}@example.org`);
    const list = JSON.stringify({ to, body: 'x' });
    client.write(`${head}Prefer: wait=20\r\nContent-Length: ${list.length}\r\n\r\n${list}`);
    await untilWaiting(24);
    client.end();
    expect((await client.answer()).status).toBe(200);
    expect(warnings).toEqual([]);
  });
});

describe('a list', () => {
  const to = Array.from({ length: 40 }, (_, index) => `user-${index}@example.org`);

  test('is sent although the first recipients are waited for', async () => {
    const answer = post({ to: [...to, never], body: 'x' }, prefer);
    await untilWaiting(to.length);
    for (const [index, { end }] of waits.entries()) end(index === 3 ? 'recipient' : 'server');
    const results = (await answer).json()['results'] as { to: string; confirmed: string }[];
    expect(results.map((it) => it.to)).toEqual([...to, never]);
    const confirmed = results.filter((it) => it.confirmed === 'recipient');
    expect(confirmed).toMatchObject([{ to: to[3] }]);
    expect((await answer).headers['preference-applied']).toBe('wait=20');
  });

  test('with a bounce during the wait', async () => {
    const answer = post({ to: to.slice(0, 2), body: 'x' }, prefer);
    await untilWaiting(2);
    waits[0]?.end(new GatewayError('bounced', 'No.'));
    waits[1]?.end('recipient');
    expect((await answer).status).toBe(207);
    expect((await answer).json()['results']).toMatchObject([
      { code: 'bounced' },
      { confirmed: 'recipient' },
    ]);
  });
});

test('each line says how long to wait for it; the header does not count', async () => {
  const lines = [{ ...message, wait: 3 }, message, { ...message, wait: 'x' }];
  const answer = post(lines, prefer);
  await untilWaiting(1);
  waits[0]?.end('recipient');
  const answers = (await answer).body.trimEnd().split('\n');
  expect(waits.map((it) => it.message.waitMs)).toEqual([3000]);
  expect(answers.find((it) => it.startsWith('{"line":1,'))).toContain('"confirmed":"recipient"');
  expect(answers.find((it) => it.startsWith('{"line":3,'))).toContain('"pointer":"/wait"');
  expect((await answer).headers['preference-applied']).toBeUndefined();
});
