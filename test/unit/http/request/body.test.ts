import Koa from 'koa';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import {
  type BodyReading,
  createBodyBudget,
  createReadBody,
  RequestAborted,
} from '../../../../src/http/request/body.ts';
import { sendAnswer } from '../../../../src/http/response/answer.ts';
import { createListener } from '../../../../src/http/server/listener.ts';
import { send } from '../../../support/clients/http.ts';
import { connectRaw } from '../../../support/clients/http-connection.ts';
import { noEvents } from '../serve.ts';
import { createSignal } from '../signal.ts';

const limit = 1000;

let port: number;
let failed: Promise<unknown>;

beforeEach(() => start(createReadBody(limit, createBodyBudget())));

async function start(readBody: ReturnType<typeof createReadBody>): Promise<void> {
  const app = new Koa();
  const failure = createSignal<unknown>();
  failed = failure.told;
  app.use(async (ctx) => {
    try {
      const bytes = await readBody(ctx, 'x');
      ctx.body = Buffer.from(bytes).toString('hex');
    } catch (error) {
      failure.tell(error);
      ctx.respond = false;
      const body = error instanceof GatewayError ? error.code : 'bug';
      sendAnswer(ctx.req, ctx.res, { status: 400, headers: {}, body });
    }
  });
  const listener = createListener(
    app.callback(),
    { host: '127.0.0.1', port: 0, tls: undefined },
    noEvents,
  );
  port = await listener.start();
  onTestFinished(() => listener.stop(0));
}

const head = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n';

describe('createReadBody', () => {
  it('refuses a body that exceeds both its limit and the budget once', async () => {
    await start(createReadBody(100, createBodyBudget(1000)));
    const raw = await connectRaw(port);
    raw.write(`${head}Transfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`);
    expect(await failed).toMatchObject({ code: 'too-large' });
    raw.destroy();
  });

  it.each([
    'application/json',
    'Application/JSON;charset="UTF-8"',
    'application/json;',
    'application/json; profile="a;b"',
    'application/xml',
    'text/xml; charset=utf-8',
    'application/xmpp+xml',
  ])('returns the bytes of %s unchanged', async (contentType) => {
    const body = Buffer.from([0xef, 0xbb, 0xbf, 0xff, 0x00, 0xc0, 0x80]);
    const headers = { 'Content-Type': contentType };
    const { body: answered } = await send(port, { method: 'POST', headers, body });
    expect(answered).toBe(body.toString('hex'));
  });

  it.each([
    ['no body', `${head}\r\n`],
    ['Content-Length: 0', `${head}Content-Length: 0\r\n\r\n`],
    ['no chunks', `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ])('returns nothing for %s', async (_, request) => {
    const raw = await connectRaw(port);
    raw.write(request);
    expect(await raw.answer()).toMatchObject({ status: 200, body: '' });
    raw.destroy();
  });

  it('joins chunks', async () => {
    const raw = await connectRaw(port);
    raw.write(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
    raw.write('2\r\nbc\r\n0\r\n\r\n');
    expect((await raw.answer()).body).toBe(Buffer.from('abc').toString('hex'));
    raw.destroy();
  });

  it.each([
    [limit, 200],
    [limit + 1, 400],
  ])('a body of %i bytes → %i', async (length, status) => {
    const headers = { 'Content-Type': 'application/json' };
    const body = 'x'.repeat(length);
    const known = await send(port, { method: 'POST', headers, body });
    expect(known.status).toBe(status);
    const chunked = { ...headers, 'Transfer-Encoding': 'chunked' };
    const unknown = await send(port, { method: 'POST', headers: chunked, body });
    expect(unknown.status).toBe(status);
    expect(unknown.body).toBe(status === 200 ? known.body : 'too-large');
  });

  it.each([limit + 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, '9'.repeat(15)])(
    'refuses Content-Length %s before any of it arrives',
    async (length) => {
      const raw = await connectRaw(port);
      raw.write(`${head}Content-Length: ${length}\r\n\r\n`);
      expect((await raw.answer()).body).toBe('too-large');
      raw.destroy();
    },
  );

  it('keeps the connection after a chunked body over the limit', async () => {
    const raw = await connectRaw(port);
    const chunk = `${(100_000).toString(16)}\r\n${'x'.repeat(100_000)}\r\n`;
    raw.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`);
    expect((await raw.answer()).body).toBe('too-large');
    raw.write(`${chunk}0\r\n\r\n${head}Content-Length: 1\r\n\r\na`);
    expect(await raw.answer()).toMatchObject({ status: 200, body: '61' });
    raw.destroy();
  });

  it('asks for the body of a client that waits for 100', async () => {
    const raw = await connectRaw(port);
    raw.write(`${head}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n`);
    expect((await raw.answer()).status).toBe(100);
    raw.write('a');
    expect(await raw.answer()).toMatchObject({ status: 200, body: '61' });
    raw.destroy();
  });

  it('does not ask for a body over the limit', async () => {
    const raw = await connectRaw(port);
    raw.write(`${head}Expect: 100-continue\r\nContent-Length: ${limit + 1}\r\n\r\n`);
    expect(await raw.answer()).toMatchObject({ status: 400, body: 'too-large' });
    raw.destroy();
  });

  it.each(['Content-Length: 10\r\n\r\nabc', 'Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n'])(
    'notices a client that goes away: %j',
    async (rest) => {
      const raw = await connectRaw(port);
      raw.write(`${head}Expect: 100-continue\r\n${rest}`);
      await raw.answer();
      raw.destroy();
      expect(await failed).toBeInstanceOf(RequestAborted);
    },
  );

  it('gives up if the rest of the body is not HTTP', async () => {
    const raw = await connectRaw(port);
    raw.write(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n`);
    expect(await raw.answer()).toMatchObject({ status: 400, headers: { connection: 'close' } });
    expect(await failed).toBeInstanceOf(RequestAborted);
    await raw.closed;
  });
});

function createCallers(maxBytes: number) {
  const budget = createBodyBudget(maxBytes);
  const refused: string[] = [];
  return {
    refused,
    begin: (caller: string, name: string): BodyReading =>
      budget.begin(caller, () => void refused.push(name)),
  };
}

it('refuses the newest body of the caller with the most bytes', () => {
  const { begin, refused } = createCallers(100_000);
  const [a1, a2, a3] = ['a1', 'a2', 'a3'].map((name) => begin('a', name));
  const b = begin('b', 'b');
  a1?.add(30_000);
  a2?.add(30_000);
  b.add(20_000);
  expect(refused).toEqual([]);
  b.add(30_000);
  expect(refused).toEqual(['a2']);
  a3?.add(9_000);
  expect(refused).toEqual(['a2']);
});

it('refuses no small body because of a large one of the same caller', () => {
  const { begin, refused } = createCallers(12_000);
  begin('a', 'large').add(9_000);
  begin('a', 'small').add(2_000);
  expect(refused).toEqual(['large']);
});

it('refuses no body without bytes, and none that has ended', () => {
  const { begin, refused } = createCallers(12_000);
  const first = begin('a', 'first');
  begin('a', 'empty');
  const ended = begin('a', 'ended');
  ended.add(9_000);
  ended.end();
  first.add(9_000);
  expect(refused).toEqual([]);
  first.add(9_000);
  expect(refused).toEqual(['first']);
  first.add(9_000);
  expect(refused).toEqual(['first']);
});

it('frees the bytes of a body once, when it ends', () => {
  const { begin, refused } = createCallers(12_000);
  for (let count = 0; count < 10; count += 1) {
    const reading = begin('a', 'reading');
    reading.add(9_000);
    reading.end();
    reading.end();
  }
  expect(refused).toEqual([]);
});

it('counts what pieces cost besides their bytes', () => {
  const { begin, refused } = createCallers(12_000);
  const reading = begin('a', 'pieces');
  for (let count = 0; count < 100; count += 1) reading.add(1);
  expect(refused).toEqual(['pieces']);
});
