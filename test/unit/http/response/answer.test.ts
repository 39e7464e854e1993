import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { sendAnswer, streamAnswer } from '../../../../src/http/response/answer.ts';
import { send } from '../../../support/clients/http.ts';
import { connectRaw } from '../../../support/clients/http-connection.ts';
import { serve } from '../serve.ts';

const mebibyte = 1024 * 1024;

afterEach(() => {
  vi.useRealTimers();
});

const refuse: RequestListener = (req, res) => {
  sendAnswer(req, res, { status: 413, headers: { 'Content-Type': 'text/plain' }, body: 'refused' });
};

async function serveRefusals(onRequest: RequestListener = refuse): Promise<number> {
  const { server, port } = await serve(onRequest);
  server.on('checkContinue', onRequest);
  return port;
}

describe('sendAnswer', () => {
  it('adds the length of the body', async () => {
    const answer = await send(await serveRefusals(), { method: 'POST', body: 'x' });
    expect(answer).toMatchObject({ status: 413, body: 'refused' });
    expect(answer.headers).toMatchObject({ 'content-type': 'text/plain', 'content-length': '7' });
  });

  it('answers while the body is still being sent, and keeps the connection', async () => {
    const raw = await connectRaw(await serveRefusals());
    raw.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${mebibyte}\r\n\r\n`);
    expect(await raw.answer()).toMatchObject({ status: 413, body: 'refused' });
    raw.write(Buffer.alloc(mebibyte));
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx');
    expect(await raw.answer()).toMatchObject({ status: 413, body: 'refused' });
    expect(raw.isClosed()).toBe(false);
    raw.destroy();
  });

  it.each(['HTTP/1.0', 'HTTP/1.1\r\nConnection: close'])(
    'does not reset a connection that closes: %s',
    async (version) => {
      const raw = await connectRaw(await serveRefusals());
      const [line, ...headers] = version.split('\r\n');
      raw.write(
        [`POST / ${line}`, 'Host: h', `Content-Length: ${mebibyte}`, ...headers].join('\r\n'),
      );
      raw.write('\r\n\r\n');
      expect(await raw.answer()).toMatchObject({ status: 413, body: 'refused' });
      raw.write(Buffer.alloc(mebibyte));
      expect(await raw.closed).toBe('');
    },
  );

  it('cuts off a body without end', async () => {
    const raw = await connectRaw(await serveRefusals());
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect(await raw.answer()).toMatchObject({ status: 413 });
    for (let sent = 0; sent <= 16; sent += 1) {
      raw.write(`100000\r\n${'x'.repeat(mebibyte)}\r\n`);
    }
    expect(await raw.closed).toBe('');
  });

  it('cuts off a body in tiny pieces, which cost more than their bytes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const raw = await connectRaw(await serveRefusals());
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect(await raw.answer()).toMatchObject({ status: 413 });
    raw.write('1\r\nx\r\n'.repeat(16 * 1024));
    expect(await raw.closed).toBe('');
  });

  it('cuts off a body that takes too long', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const raw = await connectRaw(await serveRefusals());
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx');
    expect(await raw.answer()).toMatchObject({ status: 413 });
    vi.advanceTimersByTime(9_999);
    expect(raw.isClosed()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await raw.closed).toBe('');
  });

  it('leaves no timer running', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const raw = await connectRaw(await serveRefusals());
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx');
    await raw.answer();
    raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await raw.answer();
    await raw.answer();
    raw.destroy();
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(0));
  });

  it('announces the end when the client waits for 100', async () => {
    const raw = await connectRaw(await serveRefusals());
    raw.write('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n');
    const answer = await raw.answer();
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } });
    raw.destroy();
  });

  it('still announces that the connection closes', async () => {
    const port = await serveRefusals((req, res) => {
      res.setHeader('Connection', 'close');
      refuse(req, res);
    });
    expect((await send(port, {})).headers).toMatchObject({ connection: 'close' });
  });

  it('answers HEAD while its body is still being sent', async () => {
    const raw = await connectRaw(await serveRefusals());
    raw.write('HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n');
    expect(await raw.answer(true)).toMatchObject({ status: 413, body: '' });
    raw.destroy();
  });

  it('answers HEAD without a body', async () => {
    const raw = await connectRaw(await serveRefusals());
    raw.write('HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await raw.answer(true)).toMatchObject({ status: 413, body: '' });
    expect(await raw.answer()).toMatchObject({ status: 413, body: 'refused' });
    raw.destroy();
  });
});

it('a streamed answer keeps no listener for a part that was taken', async () => {
  const listeners: number[] = [];
  const { port } = await serve((req, res) => {
    async function* parts(): AsyncGenerator<string> {
      for (let part = 0; part < 5; part += 1) {
        yield 'x'.repeat(1_000_000);
        listeners.push(res.listenerCount('close'));
      }
    }
    void streamAnswer(req, res, { status: 200, headers: {}, parts: parts() });
  });
  await send(port, {});
  expect(listeners).toEqual(Array(5).fill(listeners[0]));
});
