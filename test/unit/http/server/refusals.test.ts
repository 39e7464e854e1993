import type { ServerResponse } from 'node:http';
import { describe, expect, it, vi } from 'vitest';
import { findHeadRefusal, refuseMalformed } from '../../../../src/http/server/refusals.ts';
import { connectRaw } from '../../../support/clients/http-connection.ts';
import { hangMs } from '../../../support/system/wait.ts';
import { serve } from '../serve.ts';

/** The status for a request with these header lines. */
function statusOf(lines: readonly string[], httpVersion = '1.1'): number | undefined {
  const pairs = lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string]);
  // Node keeps the first of repeated headers.
  const headers = Object.fromEntries(
    pairs.toReversed().map(([name, value]) => [name.toLowerCase(), value]),
  );
  return findHeadRefusal({ httpVersion, headers, rawHeaders: pairs.flat() })?.status;
}

describe('findHeadRefusal', () => {
  it.each([
    [['Host: gw.example']],
    [['Host: gw.example:8080', 'Accept: a', 'Accept: b', 'X-Forwarded-For: 1', 'Via: 2']],
    [['Host: 127.0.0.1:80', 'Authorization: Basic x', 'Content-Type: application/json']],
    [['Host: [2001:db8::1]:80']],
    [['Host: [::ffff:192.0.2.1]']],
    [['Host: ']],
    [['Host: gw.example:']],
    [['Host: _service.gw-1.example.']],
    [['Host: h', 'Transfer-Encoding: chunked']],
    [['Host: h', 'Transfer-Encoding: Chunked']],
    [['Host: h', ...Array<string>(99).fill('X: y')]],
  ])('accepts %j', (lines) => {
    expect(statusOf(lines)).toBeUndefined();
  });

  it.each([
    [400, ['Host: a', 'Host: b']],
    [400, ['Host: a', 'host: a']],
    [400, ['Host: a', 'Authorization: Basic x', 'AUTHORIZATION: Basic y']],
    [400, ['Host: a', 'Content-Type: text/xml', 'Content-Type: application/json']],
    [400, ['Accept: a']],
    [400, ['Host: a b']],
    [400, ['Host: a/b']],
    [400, ['Host: user@a']],
    [400, ['Host: a:b']],
    [400, ['Host: a, b:80']],
    [400, ['Host: a?b']],
    [400, ['Host: a\\b']],
    [400, ['Host: \u00e4']],
    [400, ['Host: [::1']],
    [400, ['Host: a', 'Transfer-Encoding: ']],
    [501, ['Host: a', 'Transfer-Encoding: gzip, chunked']],
    [501, ['Host: a', 'Transfer-Encoding: identity, chunked']],
    [501, ['Host: a', 'Transfer-Encoding: chunked, chunked']],
    [431, ['Host: a', ...Array<string>(100).fill('X: y')]],
  ])('%i: %j', (status, lines) => {
    expect(statusOf(lines)).toBe(status);
  });

  it('knows two versions of HTTP', () => {
    expect(statusOf([], '1.0')).toBeUndefined();
    expect(['0.9', '2.0', '1.2'].map((version) => statusOf(['Host: h'], version))).toEqual([
      505, 505, 505,
    ]);
  });

  it('does not take chunks from HTTP/1.0', () => {
    expect(statusOf(['Transfer-Encoding: chunked'], '1.0')).toBe(400);
  });
});

async function serveWithin(timeoutMs: number): Promise<number> {
  const options = {
    headersTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    connectionsCheckingInterval: 20,
  };
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
  const raw = await connectRaw(await serveWithin(status === 408 ? 60 : hangMs));
  raw.write(request);
  const answer = await raw.answer();
  expect(answer).toMatchObject({
    status,
    headers: { 'content-type': 'application/problem+json', connection: 'close' },
  });
  expect(JSON.parse(answer.body)).toEqual({ type: 'about:blank', title, status });
  expect(await raw.closed).toBe('');
});

it('garbage after an answer that was sent but has not ended is refused in its turn', async () => {
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
