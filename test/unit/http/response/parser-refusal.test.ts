import type { ServerResponse } from 'node:http';
import { expect, it, vi } from 'vitest';
import { refuseMalformed } from '../../../../src/http/response/parser-refusal.ts';
import { connectRaw } from '../http-client.ts';
import { serve } from '../serve.ts';

async function serveShortly(): Promise<number> {
  const options = { headersTimeout: 60, requestTimeout: 60, connectionsCheckingInterval: 20 };
  const { server, port } = await serve((_req, res) => res.end(), options);
  server.on('clientError', (error, socket) => refuseMalformed(error, socket, []));
  return port;
}

it.each([
  ['garbage', 'hello\r\n\r\n', 400, 'Bad Request'],
  ['an unknown method', 'BREW / HTTP/1.1\r\nHost: h\r\n\r\n', 400, 'Bad Request'],
  [
    'both lengths',
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
    'Bad Request',
  ],
  [
    'two lengths',
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    400,
    'Bad Request',
  ],
  [
    'too many headers',
    `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n`,
    431,
    'Request Header Fields Too Large',
  ],
  ['half a header', 'GET / HTTP/1.1\r\nHo', 408, 'Request Timeout'],
  ['silence', '', 408, 'Request Timeout'],
])('%s', async (_, request, status, title) => {
  const raw = await connectRaw(await serveShortly());
  raw.write(request);
  const answer = await raw.answer();
  expect(answer).toMatchObject({
    status,
    headers: { 'content-type': 'application/problem+json', connection: 'close' },
  });
  expect(JSON.parse(answer.text)).toEqual({ type: 'about:blank', title, status });
  expect(await raw.closed).toBe('');
});

it('garbage behind an answer that was given but not yet ended is refused in its turn', async () => {
  const responses: ServerResponse[] = [];
  const { server, port } = await serve((req, res) => {
    responses.push(res);
    req.resume().once('end', () => res.write('x'));
  });
  server.on('clientError', (error, socket) => {
    refuseMalformed(error, socket, responses);
    responses[0]?.end();
  });
  const raw = await connectRaw(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await vi.waitUntil(() => responses[0]?.headersSent);
  raw.write('garbage\r\n\r\n');
  expect(await raw.closed).toContain('HTTP/1.1 400 Bad Request');
});
